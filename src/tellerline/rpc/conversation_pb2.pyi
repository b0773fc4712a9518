from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AdmitRequest(_message.Message):
    __slots__ = ("call_id",)
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    def __init__(self, call_id: _Optional[str] = ...) -> None: ...

class AdmitReply(_message.Message):
    __slots__ = ("admitted", "reason", "retry_after_seconds", "free_slots")
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FREE_SLOTS_FIELD_NUMBER: _ClassVar[int]
    admitted: bool
    reason: str
    retry_after_seconds: int
    free_slots: int
    def __init__(self, admitted: _Optional[bool] = ..., reason: _Optional[str] = ..., retry_after_seconds: _Optional[int] = ..., free_slots: _Optional[int] = ...) -> None: ...

class FromConnector(_message.Message):
    __slots__ = ("call_id", "turn_id", "attach", "audio", "digit", "hold", "dark_input_result", "transfer_progress", "caller_hung_up", "heartbeat")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    DIGIT_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    DARK_INPUT_RESULT_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CALLER_HUNG_UP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    turn_id: int
    attach: Attach
    audio: CallerAudio
    digit: Digit
    hold: Hold
    dark_input_result: DarkInputResult
    transfer_progress: TransferProgress
    caller_hung_up: CallerHungUp
    heartbeat: Heartbeat
    def __init__(self, call_id: _Optional[str] = ..., turn_id: _Optional[int] = ..., attach: _Optional[_Union[Attach, _Mapping]] = ..., audio: _Optional[_Union[CallerAudio, _Mapping]] = ..., digit: _Optional[_Union[Digit, _Mapping]] = ..., hold: _Optional[_Union[Hold, _Mapping]] = ..., dark_input_result: _Optional[_Union[DarkInputResult, _Mapping]] = ..., transfer_progress: _Optional[_Union[TransferProgress, _Mapping]] = ..., caller_hung_up: _Optional[_Union[CallerHungUp, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class Attach(_message.Message):
    __slots__ = ("resume", "attempt", "sip_call_id", "caller", "called", "telephone_event", "answered_ns", "dark_request_id", "recording")
    RESUME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SIP_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CALLED_FIELD_NUMBER: _ClassVar[int]
    TELEPHONE_EVENT_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_NS_FIELD_NUMBER: _ClassVar[int]
    DARK_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    resume: bool
    attempt: int
    sip_call_id: str
    caller: str
    called: str
    telephone_event: bool
    answered_ns: int
    dark_request_id: int
    recording: bool
    def __init__(self, resume: _Optional[bool] = ..., attempt: _Optional[int] = ..., sip_call_id: _Optional[str] = ..., caller: _Optional[str] = ..., called: _Optional[str] = ..., telephone_event: _Optional[bool] = ..., answered_ns: _Optional[int] = ..., dark_request_id: _Optional[int] = ..., recording: _Optional[bool] = ...) -> None: ...

class CallerAudio(_message.Message):
    __slots__ = ("pcm", "first_sample", "played_samples", "captured_ns")
    PCM_FIELD_NUMBER: _ClassVar[int]
    FIRST_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    PLAYED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_NS_FIELD_NUMBER: _ClassVar[int]
    pcm: bytes
    first_sample: int
    played_samples: int
    captured_ns: int
    def __init__(self, pcm: _Optional[bytes] = ..., first_sample: _Optional[int] = ..., played_samples: _Optional[int] = ..., captured_ns: _Optional[int] = ...) -> None: ...

class Digit(_message.Message):
    __slots__ = ("digit", "duration_ms", "at_sample")
    DIGIT_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    AT_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    digit: str
    duration_ms: int
    at_sample: int
    def __init__(self, digit: _Optional[str] = ..., duration_ms: _Optional[int] = ..., at_sample: _Optional[int] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("held",)
    HELD_FIELD_NUMBER: _ClassVar[int]
    held: bool
    def __init__(self, held: _Optional[bool] = ...) -> None: ...

class DarkInputResult(_message.Message):
    __slots__ = ("request_id", "outcome")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[DarkInputResult.Outcome]
        ACCEPTED: _ClassVar[DarkInputResult.Outcome]
        REJECTED: _ClassVar[DarkInputResult.Outcome]
        TIMED_OUT: _ClassVar[DarkInputResult.Outcome]
        CANCELLED: _ClassVar[DarkInputResult.Outcome]
        UNAVAILABLE: _ClassVar[DarkInputResult.Outcome]
    OUTCOME_UNSPECIFIED: DarkInputResult.Outcome
    ACCEPTED: DarkInputResult.Outcome
    REJECTED: DarkInputResult.Outcome
    TIMED_OUT: DarkInputResult.Outcome
    CANCELLED: DarkInputResult.Outcome
    UNAVAILABLE: DarkInputResult.Outcome
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    outcome: DarkInputResult.Outcome
    def __init__(self, request_id: _Optional[int] = ..., outcome: _Optional[_Union[DarkInputResult.Outcome, str]] = ...) -> None: ...

class TransferProgress(_message.Message):
    __slots__ = ("request_id", "sip_status", "final")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SIP_STATUS_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    sip_status: int
    final: bool
    def __init__(self, request_id: _Optional[int] = ..., sip_status: _Optional[int] = ..., final: _Optional[bool] = ...) -> None: ...

class CallerHungUp(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("sent_ns",)
    SENT_NS_FIELD_NUMBER: _ClassVar[int]
    sent_ns: int
    def __init__(self, sent_ns: _Optional[int] = ...) -> None: ...

class ToConnector(_message.Message):
    __slots__ = ("call_id", "turn_id", "attached", "audio", "pause", "resume", "flush", "dark_input", "transfer", "hang_up", "heartbeat", "menu_input", "recording")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    DARK_INPUT_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    HANG_UP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    MENU_INPUT_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    turn_id: int
    attached: Attached
    audio: BotAudio
    pause: Pause
    resume: Resume
    flush: Flush
    dark_input: DarkInputRequest
    transfer: Transfer
    hang_up: HangUp
    heartbeat: Heartbeat
    menu_input: MenuInput
    recording: Recording
    def __init__(self, call_id: _Optional[str] = ..., turn_id: _Optional[int] = ..., attached: _Optional[_Union[Attached, _Mapping]] = ..., audio: _Optional[_Union[BotAudio, _Mapping]] = ..., pause: _Optional[_Union[Pause, _Mapping]] = ..., resume: _Optional[_Union[Resume, _Mapping]] = ..., flush: _Optional[_Union[Flush, _Mapping]] = ..., dark_input: _Optional[_Union[DarkInputRequest, _Mapping]] = ..., transfer: _Optional[_Union[Transfer, _Mapping]] = ..., hang_up: _Optional[_Union[HangUp, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., menu_input: _Optional[_Union[MenuInput, _Mapping]] = ..., recording: _Optional[_Union[Recording, _Mapping]] = ...) -> None: ...

class MenuInput(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Recording(_message.Message):
    __slots__ = ("wanted",)
    WANTED_FIELD_NUMBER: _ClassVar[int]
    wanted: bool
    def __init__(self, wanted: _Optional[bool] = ...) -> None: ...

class Attached(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BotAudio(_message.Message):
    __slots__ = ("pcm", "kind")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[BotAudio.Kind]
        SPEECH: _ClassVar[BotAudio.Kind]
        FILLER: _ClassVar[BotAudio.Kind]
    KIND_UNSPECIFIED: BotAudio.Kind
    SPEECH: BotAudio.Kind
    FILLER: BotAudio.Kind
    PCM_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    pcm: bytes
    kind: BotAudio.Kind
    def __init__(self, pcm: _Optional[bytes] = ..., kind: _Optional[_Union[BotAudio.Kind, str]] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Resume(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Flush(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DarkInputRequest(_message.Message):
    __slots__ = ("request_id", "purpose", "min_digits", "max_digits", "timeout_ms", "cancel")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    MIN_DIGITS_FIELD_NUMBER: _ClassVar[int]
    MAX_DIGITS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    purpose: str
    min_digits: int
    max_digits: int
    timeout_ms: int
    cancel: bool
    def __init__(self, request_id: _Optional[int] = ..., purpose: _Optional[str] = ..., min_digits: _Optional[int] = ..., max_digits: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., cancel: _Optional[bool] = ...) -> None: ...

class Transfer(_message.Message):
    __slots__ = ("request_id", "target", "user_to_user")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    USER_TO_USER_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    target: str
    user_to_user: str
    def __init__(self, request_id: _Optional[int] = ..., target: _Optional[str] = ..., user_to_user: _Optional[str] = ...) -> None: ...

class HangUp(_message.Message):
    __slots__ = ("reason", "after_playout")
    REASON_FIELD_NUMBER: _ClassVar[int]
    AFTER_PLAYOUT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    after_playout: bool
    def __init__(self, reason: _Optional[str] = ..., after_playout: _Optional[bool] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("sip_call_id",)
    SIP_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    sip_call_id: str
    def __init__(self, sip_call_id: _Optional[str] = ...) -> None: ...

class ConversationEvent(_message.Message):
    __slots__ = ("call_id", "sip_call_id", "turn_id", "at_ns", "attached", "caller_heard", "bot_spoke", "turn_timed", "barge_in", "digit", "ended", "understood", "dark_input", "bank_asked")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    SIP_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    CALLER_HEARD_FIELD_NUMBER: _ClassVar[int]
    BOT_SPOKE_FIELD_NUMBER: _ClassVar[int]
    TURN_TIMED_FIELD_NUMBER: _ClassVar[int]
    BARGE_IN_FIELD_NUMBER: _ClassVar[int]
    DIGIT_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    UNDERSTOOD_FIELD_NUMBER: _ClassVar[int]
    DARK_INPUT_FIELD_NUMBER: _ClassVar[int]
    BANK_ASKED_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    sip_call_id: str
    turn_id: int
    at_ns: int
    attached: Attach
    caller_heard: CallerHeard
    bot_spoke: BotSpoke
    turn_timed: TurnTimed
    barge_in: BargeIn
    digit: Digit
    ended: CallEnded
    understood: Understood
    dark_input: DarkInputResult
    bank_asked: BankAsked
    def __init__(self, call_id: _Optional[str] = ..., sip_call_id: _Optional[str] = ..., turn_id: _Optional[int] = ..., at_ns: _Optional[int] = ..., attached: _Optional[_Union[Attach, _Mapping]] = ..., caller_heard: _Optional[_Union[CallerHeard, _Mapping]] = ..., bot_spoke: _Optional[_Union[BotSpoke, _Mapping]] = ..., turn_timed: _Optional[_Union[TurnTimed, _Mapping]] = ..., barge_in: _Optional[_Union[BargeIn, _Mapping]] = ..., digit: _Optional[_Union[Digit, _Mapping]] = ..., ended: _Optional[_Union[CallEnded, _Mapping]] = ..., understood: _Optional[_Union[Understood, _Mapping]] = ..., dark_input: _Optional[_Union[DarkInputResult, _Mapping]] = ..., bank_asked: _Optional[_Union[BankAsked, _Mapping]] = ...) -> None: ...

class Understood(_message.Message):
    __slots__ = ("intent", "probability", "by")
    INTENT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    intent: str
    probability: float
    by: str
    def __init__(self, intent: _Optional[str] = ..., probability: _Optional[float] = ..., by: _Optional[str] = ...) -> None: ...

class BankAsked(_message.Message):
    __slots__ = ("operation", "outcome", "took_ms", "speculative")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    TOOK_MS_FIELD_NUMBER: _ClassVar[int]
    SPECULATIVE_FIELD_NUMBER: _ClassVar[int]
    operation: str
    outcome: str
    took_ms: int
    speculative: bool
    def __init__(self, operation: _Optional[str] = ..., outcome: _Optional[str] = ..., took_ms: _Optional[int] = ..., speculative: _Optional[bool] = ...) -> None: ...

class CallerHeard(_message.Message):
    __slots__ = ("text", "final", "avg_logprob", "no_speech_prob")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    AVG_LOGPROB_FIELD_NUMBER: _ClassVar[int]
    NO_SPEECH_PROB_FIELD_NUMBER: _ClassVar[int]
    text: str
    final: bool
    avg_logprob: float
    no_speech_prob: float
    def __init__(self, text: _Optional[str] = ..., final: _Optional[bool] = ..., avg_logprob: _Optional[float] = ..., no_speech_prob: _Optional[float] = ...) -> None: ...

class BotSpoke(_message.Message):
    __slots__ = ("text", "played", "interrupted")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PLAYED_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    text: str
    played: str
    interrupted: bool
    def __init__(self, text: _Optional[str] = ..., played: _Optional[str] = ..., interrupted: _Optional[bool] = ...) -> None: ...

class TurnTimed(_message.Message):
    __slots__ = ("stages", "speech_ended_ns", "first_audio_ns", "withdrawn")
    STAGES_FIELD_NUMBER: _ClassVar[int]
    SPEECH_ENDED_NS_FIELD_NUMBER: _ClassVar[int]
    FIRST_AUDIO_NS_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    stages: _containers.RepeatedCompositeFieldContainer[Stage]
    speech_ended_ns: int
    first_audio_ns: int
    withdrawn: int
    def __init__(self, stages: _Optional[_Iterable[_Union[Stage, _Mapping]]] = ..., speech_ended_ns: _Optional[int] = ..., first_audio_ns: _Optional[int] = ..., withdrawn: _Optional[int] = ...) -> None: ...

class Stage(_message.Message):
    __slots__ = ("name", "start_ns", "end_ns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    name: str
    start_ns: int
    end_ns: int
    def __init__(self, name: _Optional[str] = ..., start_ns: _Optional[int] = ..., end_ns: _Optional[int] = ...) -> None: ...

class BargeIn(_message.Message):
    __slots__ = ("outcome",)
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[BargeIn.Outcome]
        PAUSED: _ClassVar[BargeIn.Outcome]
        RESUMED: _ClassVar[BargeIn.Outcome]
        FLUSHED: _ClassVar[BargeIn.Outcome]
    OUTCOME_UNSPECIFIED: BargeIn.Outcome
    PAUSED: BargeIn.Outcome
    RESUMED: BargeIn.Outcome
    FLUSHED: BargeIn.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: BargeIn.Outcome
    def __init__(self, outcome: _Optional[_Union[BargeIn.Outcome, str]] = ...) -> None: ...

class CallEnded(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class ShowProvidersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ProviderOrder(_message.Message):
    __slots__ = ("kind", "providers")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    providers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., providers: _Optional[_Iterable[str]] = ...) -> None: ...

class ChooseProvidersRequest(_message.Message):
    __slots__ = ("orders",)
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[ProviderOrder]
    def __init__(self, orders: _Optional[_Iterable[_Union[ProviderOrder, _Mapping]]] = ...) -> None: ...

class ProviderState(_message.Message):
    __slots__ = ("kind", "provider", "breaker", "missing")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    kind: str
    provider: str
    breaker: str
    missing: str
    def __init__(self, kind: _Optional[str] = ..., provider: _Optional[str] = ..., breaker: _Optional[str] = ..., missing: _Optional[str] = ...) -> None: ...

class ProvidersReply(_message.Message):
    __slots__ = ("orders", "states")
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[ProviderOrder]
    states: _containers.RepeatedCompositeFieldContainer[ProviderState]
    def __init__(self, orders: _Optional[_Iterable[_Union[ProviderOrder, _Mapping]]] = ..., states: _Optional[_Iterable[_Union[ProviderState, _Mapping]]] = ...) -> None: ...
