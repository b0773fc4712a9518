"""Every metric name, label and bucket of Tellerline, and nowhere else."""

from __future__ import annotations

from prometheus_client import Counter, Enum, Gauge, Histogram, start_http_server

from tellerline.settings import Monitoring

# Seconds; dense where the budgets are (docs/latency.md).
_STAGE_BUCKETS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.85, 1.2, 2.0, 4.0)

# ---- engine
ENGINE_STAGE_SECONDS = Histogram(
    "tellerline_engine_stage_seconds",
    "Time a model worked on one request, queueing excluded.",
    ["stage"],  # recognition, first_token, generation, synthesis_first, synthesis, routing
    buckets=_STAGE_BUCKETS,
)
ENGINE_QUEUE_SECONDS = Histogram(
    "tellerline_engine_queue_seconds",
    "Time a request waited for its model.",
    ["stage"],
    buckets=_STAGE_BUCKETS,
)
ENGINE_FREE_SLOTS = Gauge("tellerline_engine_free_slots", "Calls the engine could still take.")
ENGINE_CALLS = Gauge("tellerline_engine_calls", "Calls holding a slot.")
ENGINE_REFUSALS = Counter("tellerline_engine_refusals_total", "Calls refused a slot.", ["reason"])
ENGINE_ERRORS = Counter("tellerline_engine_errors_total", "Requests that failed.", ["stage"])
ENGINE_NOT_SPEECH = Counter("tellerline_engine_not_speech_total", "Utterances found to be noise.")

# ---- pipeline
PIPELINE_CALLS = Gauge("tellerline_pipeline_calls", "Calls attached.")
PIPELINE_TURNS = Counter("tellerline_pipeline_turns_total", "Caller turns by how they ended.", ["outcome"])
PIPELINE_STAGE_SECONDS = Histogram(
    "tellerline_pipeline_stage_seconds",
    "Where a turn's time goes, from the caller's last sound.",
    ["stage"],
    buckets=_STAGE_BUCKETS,
)
PIPELINE_RESPONSE_SECONDS = Histogram(
    "tellerline_pipeline_response_seconds",
    "Caller's last sound to first answer audio handed to the connector.",
    buckets=_STAGE_BUCKETS,
)
PIPELINE_WITHDRAWN = Counter(
    "tellerline_pipeline_withdrawn_total", "Speculative answers thrown away before they were heard."
)
PIPELINE_BARGE_INS = Counter(
    "tellerline_pipeline_barge_ins_total", "Caller sound over the bot, by outcome.", ["outcome"]
)
PIPELINE_GUARDED = Counter(
    "tellerline_pipeline_guarded_total", "Model sentences replaced before they were spoken.", ["guard"]
)
PIPELINE_PROVIDER_REQUESTS = Counter(
    "tellerline_pipeline_provider_requests_total",
    "Requests to a provider by how they ended, where a site has more than the engine.",
    ["kind", "provider", "outcome"],  # answered, failed, late, skipped (its breaker is open)
)
PIPELINE_PROVIDER_BREAKER = Enum(
    "tellerline_pipeline_provider_breaker",
    "State of the circuit breaker in front of a provider.",
    ["kind", "provider"],
    states=["closed", "open", "half_open"],
)

# ---- connector
CONNECTOR_CALLS = Gauge("tellerline_connector_calls", "Live SIP calls.", ["lane"])
CONNECTOR_STATE = Gauge("tellerline_connector_ready", "1 when the lane takes new calls.", ["lane"])
CONNECTOR_INVITES = Counter(
    "tellerline_connector_invites_total", "INVITEs by final status.", ["lane", "status"]
)
CONNECTOR_ENDED = Counter(
    "tellerline_connector_calls_ended_total", "Answered calls by what ended them.", ["lane", "reason"]
)
CONNECTOR_REATTACHED = Counter(
    "tellerline_connector_reattached_total",
    "Calls attached again after a death.",
    ["lane", "outcome"],
)
CONNECTOR_RTP_LATE = Counter(
    "tellerline_connector_rtp_underruns_total", "20 ms ticks with speech due and none to play.", ["lane"]
)
CONNECTOR_DARK_INPUTS = Counter(
    "tellerline_connector_dark_inputs_total",
    "Secrets asked for on the keypad, by outcome.",
    ["lane", "outcome"],
)
CONNECTOR_RECORDINGS = Counter(
    "tellerline_connector_recordings_total",
    "Recordings ended: complete, or failed for want of a disk; and swept, once their key was gone.",
    ["lane", "outcome"],
)
CONNECTOR_SPOOLED = Gauge("tellerline_connector_spooled_records", "Call records waiting on disk.", ["lane"])

# ---- session, and what is on its way there
FORWARDING_WAITING = Gauge(
    "tellerline_forwarding_waiting_records", "Records the session service has not confirmed.", ["producer"]
)
FORWARDING_LAG_SECONDS = Gauge(
    "tellerline_forwarding_lag_seconds", "Age of the oldest record not confirmed.", ["producer"]
)
FORWARDING_UNWRITTEN = Counter(
    "tellerline_forwarding_unwritten_total",
    "Records that could not be written to disk; alarm on any.",
    ["producer"],
)
SESSION_RECORDS = Counter(
    "tellerline_session_records_total",
    "Records by what became of them.",
    ["outcome"],  # stored, known, set_aside
)
SESSION_SET_ASIDE = Gauge(
    "tellerline_session_set_aside_records", "Records somebody has to look at; alarm on any."
)
SESSION_APPEND_SECONDS = Histogram(
    "tellerline_session_append_seconds", "Time to make one request's records durable.", buckets=_STAGE_BUCKETS
)
SESSION_UNAVAILABLE = Counter(
    "tellerline_session_unavailable_total",
    "Requests refused, and rounds of upkeep missed, since PostgreSQL was away.",
    ["rpc"],
)
SESSION_ORPHANS = Counter("tellerline_session_orphans_total", "Calls closed as lost: no lease named them.")
SESSION_OUTBOX_LAG_SECONDS = Gauge(
    "tellerline_session_outbox_lag_seconds", "Age of the oldest event not yet in the stream."
)
SESSION_EVENTS = Counter("tellerline_session_events_total", "Events handled by the view builder.")
SESSION_VIEW_ERRORS = Counter(
    "tellerline_session_view_errors_total", "Rounds of relay or view builder that failed.", ["stage"]
)

# ---- audit
AUDIT_ENTRIES = Counter(
    "tellerline_audit_entries_total", "Entries appended; those of a rolled-back transaction too.", ["service"]
)
AUDIT_HEAD = Gauge("tellerline_audit_head_position", "Newest entry whose signed head is kept outside.")
AUDIT_HEAD_FAILURES = Counter(
    "tellerline_audit_head_failures_total", "Times the signed head could not be kept; alarm on any."
)

# ---- banking
BANKING_BANK_SECONDS = Histogram(
    "tellerline_banking_bank_seconds",
    "Time the bank took for one request, by operation of docs/bank-api.yaml.",
    ["operation"],
    buckets=_STAGE_BUCKETS,
)
BANKING_BANK_REQUESTS = Counter(
    "tellerline_banking_bank_requests_total",
    "Requests to the bank by how they ended.",
    # answered, refused, unreachable, timeout, failed (5xx, 429), rejected (other 4xx), garbled, withdrawn
    ["operation", "outcome"],
)
BANKING_BREAKER = Enum(
    "tellerline_banking_breaker",
    "State of the circuit breaker in front of the bank.",
    states=["closed", "open", "half_open"],
)

BANKING_OPERATIONS = Counter(
    "tellerline_banking_operations_total", "Operations asked for by pipelines.", ["operation", "outcome"]
)
BANKING_PINS = Counter("tellerline_banking_pins_total", "PINs taken from callers.", ["outcome"])
BANKING_CLOSED = Gauge("tellerline_banking_closed", "1 while money and new authentications are closed.")
BANKING_DOUBTS = Gauge("tellerline_banking_orders_in_doubt", "Orders whose outcome nobody knows yet.")
BANKING_RESOLVED = Counter("tellerline_banking_doubts_resolved_total", "Doubts resolved.", ["outcome"])
BANKING_FORGED = Counter(
    "tellerline_banking_forged_identities_total", "Identities in Redis that this service did not write."
)
BANKING_JOURNAL = Gauge("tellerline_banking_journal_events", "Audit events waiting for the database.")
BANKING_UNAUDITED = Counter("tellerline_banking_unaudited_total", "Audit events that were never written.")

RETENTION_DESTROYED = Counter(
    "tellerline_retention_destroyed_total", "What was kept long enough and is gone.", ["kind"]
)
RETENTION_RAN = Gauge("tellerline_retention_ran_unix_seconds", "When retention last ran to its end.")


def serve(settings: Monitoring) -> None:
    """Starts the metrics endpoint, unless `metrics_port` is None."""
    if settings.metrics_port is not None:
        start_http_server(settings.metrics_port, settings.metrics_host)
