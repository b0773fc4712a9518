"""Error classes, one a stage, each with a code for logs and metrics.

An error's text names the stage and the remedy. It is for operators and is never spoken to a
caller: callers hear a phrase from `language/`.
"""


class TellerlineError(Exception):
    """Base of every error Tellerline raises on purpose."""

    code = "error"


class SettingsError(TellerlineError):
    """A setting is missing or wrong; the message names the key, the value and what would be right."""

    code = "settings"


class ModelError(TellerlineError):
    """A model is missing, damaged, or answers its known-answer test wrongly."""

    code = "model"


class RecognitionError(TellerlineError):
    """Speech recognition failed for an utterance."""

    code = "recognition"


class LanguageModelError(TellerlineError):
    """The language model failed to answer."""

    code = "language_model"


class RoutingError(TellerlineError):
    """The intent router failed on a sentence, or does not know its language."""

    code = "routing"


class SynthesisError(TellerlineError):
    """Speech synthesis failed for a clause."""

    code = "synthesis"


class EngineUnavailable(TellerlineError):
    """The engine does not answer, or has no free slot."""

    code = "engine_unavailable"


class StackError(TellerlineError):
    """The embedded stack is not running, or one of its daemons did not start."""

    code = "stack"


class SpoolError(TellerlineError):
    """A call record could not be made durable."""

    code = "spool"


class RecordingError(TellerlineError):
    """A call's recording cannot be read, or is not what its record says."""

    code = "recording"


class SipError(TellerlineError):
    """The SIP stack refused an operation."""

    code = "sip"


class ScenarioError(TellerlineError):
    """A robot scenario file is wrong; the message names the line and what would be right."""

    code = "scenario"


class BooksAway(TellerlineError):
    """Banking cannot write to its database: money and new authentications are closed."""

    code = "books_away"


class IdentitiesAway(TellerlineError):
    """Banking cannot reach Redis: nobody can be told from nobody."""

    code = "identities_away"


class BankUnavailable(TellerlineError):
    """The bank could not be asked, or gave no usable answer; asking again does no harm."""

    code = "bank_unavailable"


class BankInDoubt(TellerlineError):
    """An order may or may not have reached the bank: it is asked by the same key, and never told again."""

    code = "bank_in_doubt"


class BankRefusal(TellerlineError):
    """The bank says no; `reason` is a tellerline.banking.model.RefusalReason."""

    code = "bank_refusal"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the bank refuses: {reason}")
        self.reason = reason


class AuditError(TellerlineError):
    """The audit key is missing or wrong, or an entry is not fit to be kept."""

    code = "audit"


class MigrationError(TellerlineError):
    """The database's schema could not be brought to this release."""

    code = "migration"


class DatastoreError(TellerlineError):
    """An embedded PostgreSQL or Valkey server did not start."""

    code = "datastore"


class TruthAway(TellerlineError):
    """PostgreSQL cannot be reached or written: nothing of the request is stored."""

    code = "truth_away"


class ViewsAway(TellerlineError):
    """Redis cannot be reached; whatever it holds can be had from PostgreSQL."""

    code = "views_away"


class ServiceUnavailable(TellerlineError):
    """A daemon an operator's command asks does not answer."""

    code = "service_unavailable"


class ErasureError(TellerlineError):
    """A customer could not be erased."""

    code = "erasure"


class RetentionError(TellerlineError):
    """What was kept long enough could not be destroyed."""

    code = "retention"


class ExportError(TellerlineError):
    """Call records could not be written as CSV; what was there is still there."""

    code = "export"


class BundleError(TellerlineError):
    """The bundle could not be built."""

    code = "bundle"


class HostError(TellerlineError):
    """What an operator asks of this host cannot be done on it."""

    code = "host"
