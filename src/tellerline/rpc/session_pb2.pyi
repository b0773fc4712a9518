from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AppendRequest(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ...) -> None: ...

class AppendReply(_message.Message):
    __slots__ = ("stored", "known", "set_aside")
    STORED_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    SET_ASIDE_FIELD_NUMBER: _ClassVar[int]
    stored: int
    known: int
    set_aside: _containers.RepeatedCompositeFieldContainer[SetAside]
    def __init__(self, stored: _Optional[int] = ..., known: _Optional[int] = ..., set_aside: _Optional[_Iterable[_Union[SetAside, _Mapping]]] = ...) -> None: ...

class SetAside(_message.Message):
    __slots__ = ("index", "reason")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: str
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("call_id", "producer", "sequence", "at_unix_ms", "call_opened", "call_closed", "turn_taken", "tool_called", "context_saved", "consent_given", "handed_over", "recording_started", "recording_ended")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    CALL_OPENED_FIELD_NUMBER: _ClassVar[int]
    CALL_CLOSED_FIELD_NUMBER: _ClassVar[int]
    TURN_TAKEN_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALLED_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_SAVED_FIELD_NUMBER: _ClassVar[int]
    CONSENT_GIVEN_FIELD_NUMBER: _ClassVar[int]
    HANDED_OVER_FIELD_NUMBER: _ClassVar[int]
    RECORDING_STARTED_FIELD_NUMBER: _ClassVar[int]
    RECORDING_ENDED_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    producer: str
    sequence: int
    at_unix_ms: int
    call_opened: CallOpened
    call_closed: CallClosed
    turn_taken: TurnTaken
    tool_called: ToolCalled
    context_saved: ContextSaved
    consent_given: ConsentGiven
    handed_over: HandedOver
    recording_started: RecordingStarted
    recording_ended: RecordingEnded
    def __init__(self, call_id: _Optional[str] = ..., producer: _Optional[str] = ..., sequence: _Optional[int] = ..., at_unix_ms: _Optional[int] = ..., call_opened: _Optional[_Union[CallOpened, _Mapping]] = ..., call_closed: _Optional[_Union[CallClosed, _Mapping]] = ..., turn_taken: _Optional[_Union[TurnTaken, _Mapping]] = ..., tool_called: _Optional[_Union[ToolCalled, _Mapping]] = ..., context_saved: _Optional[_Union[ContextSaved, _Mapping]] = ..., consent_given: _Optional[_Union[ConsentGiven, _Mapping]] = ..., handed_over: _Optional[_Union[HandedOver, _Mapping]] = ..., recording_started: _Optional[_Union[RecordingStarted, _Mapping]] = ..., recording_ended: _Optional[_Union[RecordingEnded, _Mapping]] = ...) -> None: ...

class CallOpened(_message.Message):
    __slots__ = ("sip_call_id", "lane", "caller", "called")
    SIP_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CALLED_FIELD_NUMBER: _ClassVar[int]
    sip_call_id: str
    lane: str
    caller: str
    called: str
    def __init__(self, sip_call_id: _Optional[str] = ..., lane: _Optional[str] = ..., caller: _Optional[str] = ..., called: _Optional[str] = ...) -> None: ...

class CallClosed(_message.Message):
    __slots__ = ("reason", "talk_seconds", "codec", "attaches", "digits", "underrun_ticks", "transfer_status")
    REASON_FIELD_NUMBER: _ClassVar[int]
    TALK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    ATTACHES_FIELD_NUMBER: _ClassVar[int]
    DIGITS_FIELD_NUMBER: _ClassVar[int]
    UNDERRUN_TICKS_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_STATUS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    talk_seconds: float
    codec: str
    attaches: int
    digits: int
    underrun_ticks: int
    transfer_status: int
    def __init__(self, reason: _Optional[str] = ..., talk_seconds: _Optional[float] = ..., codec: _Optional[str] = ..., attaches: _Optional[int] = ..., digits: _Optional[int] = ..., underrun_ticks: _Optional[int] = ..., transfer_status: _Optional[int] = ...) -> None: ...

class TurnTaken(_message.Message):
    __slots__ = ("turn_id", "language", "heard", "said", "played", "interrupted", "intent", "probability", "understood_by", "voice_to_voice_ms")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    PLAYED_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    UNDERSTOOD_BY_FIELD_NUMBER: _ClassVar[int]
    VOICE_TO_VOICE_MS_FIELD_NUMBER: _ClassVar[int]
    turn_id: int
    language: str
    heard: str
    said: str
    played: str
    interrupted: bool
    intent: str
    probability: float
    understood_by: str
    voice_to_voice_ms: int
    def __init__(self, turn_id: _Optional[int] = ..., language: _Optional[str] = ..., heard: _Optional[str] = ..., said: _Optional[str] = ..., played: _Optional[str] = ..., interrupted: _Optional[bool] = ..., intent: _Optional[str] = ..., probability: _Optional[float] = ..., understood_by: _Optional[str] = ..., voice_to_voice_ms: _Optional[int] = ...) -> None: ...

class ToolCalled(_message.Message):
    __slots__ = ("tool", "outcome", "speculative", "took_ms")
    TOOL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SPECULATIVE_FIELD_NUMBER: _ClassVar[int]
    TOOK_MS_FIELD_NUMBER: _ClassVar[int]
    tool: str
    outcome: str
    speculative: bool
    took_ms: int
    def __init__(self, tool: _Optional[str] = ..., outcome: _Optional[str] = ..., speculative: _Optional[bool] = ..., took_ms: _Optional[int] = ...) -> None: ...

class ContextSaved(_message.Message):
    __slots__ = ("phase", "language", "state_json")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_JSON_FIELD_NUMBER: _ClassVar[int]
    phase: str
    language: str
    state_json: str
    def __init__(self, phase: _Optional[str] = ..., language: _Optional[str] = ..., state_json: _Optional[str] = ...) -> None: ...

class ConsentGiven(_message.Message):
    __slots__ = ("recording",)
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    recording: bool
    def __init__(self, recording: _Optional[bool] = ...) -> None: ...

class HandedOver(_message.Message):
    __slots__ = ("reference", "target", "summary")
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    reference: str
    target: str
    summary: str
    def __init__(self, reference: _Optional[str] = ..., target: _Optional[str] = ..., summary: _Optional[str] = ...) -> None: ...

class RecordingStarted(_message.Message):
    __slots__ = ("file", "host", "wrapped_key", "key_id")
    FILE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_KEY_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    file: str
    host: str
    wrapped_key: bytes
    key_id: str
    def __init__(self, file: _Optional[str] = ..., host: _Optional[str] = ..., wrapped_key: _Optional[bytes] = ..., key_id: _Optional[str] = ...) -> None: ...

class RecordingEnded(_message.Message):
    __slots__ = ("file", "seconds", "bytes", "complete")
    FILE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    file: str
    seconds: float
    bytes: int
    complete: bool
    def __init__(self, file: _Optional[str] = ..., seconds: _Optional[float] = ..., bytes: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class LeaseRequest(_message.Message):
    __slots__ = ("lane", "call_ids", "seconds")
    LANE_FIELD_NUMBER: _ClassVar[int]
    CALL_IDS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    lane: str
    call_ids: _containers.RepeatedScalarFieldContainer[str]
    seconds: int
    def __init__(self, lane: _Optional[str] = ..., call_ids: _Optional[_Iterable[str]] = ..., seconds: _Optional[int] = ...) -> None: ...

class LeaseReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("call_id",)
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    def __init__(self, call_id: _Optional[str] = ...) -> None: ...

class ResumeReply(_message.Message):
    __slots__ = ("found", "phase", "language", "state_json", "turns")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_JSON_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    found: bool
    phase: str
    language: str
    state_json: str
    turns: _containers.RepeatedCompositeFieldContainer[PastTurn]
    def __init__(self, found: _Optional[bool] = ..., phase: _Optional[str] = ..., language: _Optional[str] = ..., state_json: _Optional[str] = ..., turns: _Optional[_Iterable[_Union[PastTurn, _Mapping]]] = ...) -> None: ...

class PastTurn(_message.Message):
    __slots__ = ("heard", "played")
    HEARD_FIELD_NUMBER: _ClassVar[int]
    PLAYED_FIELD_NUMBER: _ClassVar[int]
    heard: str
    played: str
    def __init__(self, heard: _Optional[str] = ..., played: _Optional[str] = ...) -> None: ...

class KeylessRequest(_message.Message):
    __slots__ = ("host", "files")
    HOST_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    host: str
    files: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, host: _Optional[str] = ..., files: _Optional[_Iterable[str]] = ...) -> None: ...

class KeylessReply(_message.Message):
    __slots__ = ("destroyed", "unknown", "calls_days", "again_seconds")
    DESTROYED_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    CALLS_DAYS_FIELD_NUMBER: _ClassVar[int]
    AGAIN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    destroyed: _containers.RepeatedScalarFieldContainer[str]
    unknown: _containers.RepeatedScalarFieldContainer[str]
    calls_days: int
    again_seconds: int
    def __init__(self, destroyed: _Optional[_Iterable[str]] = ..., unknown: _Optional[_Iterable[str]] = ..., calls_days: _Optional[int] = ..., again_seconds: _Optional[int] = ...) -> None: ...

class LiveCallsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LiveCallsReply(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[LiveConversation]
    def __init__(self, calls: _Optional[_Iterable[_Union[LiveConversation, _Mapping]]] = ...) -> None: ...

class LiveConversation(_message.Message):
    __slots__ = ("call_id", "lane", "phase", "language", "opened_unix_ms", "turns")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    OPENED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    lane: str
    phase: str
    language: str
    opened_unix_ms: int
    turns: int
    def __init__(self, call_id: _Optional[str] = ..., lane: _Optional[str] = ..., phase: _Optional[str] = ..., language: _Optional[str] = ..., opened_unix_ms: _Optional[int] = ..., turns: _Optional[int] = ...) -> None: ...

class SummaryRequest(_message.Message):
    __slots__ = ("call_id", "reference")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    reference: str
    def __init__(self, call_id: _Optional[str] = ..., reference: _Optional[str] = ...) -> None: ...

class SummaryReply(_message.Message):
    __slots__ = ("found", "call_id", "lane", "language", "state", "reason", "opened_unix_ms", "closed_unix_ms", "turns", "intents", "handover_summary", "last_turns")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OPENED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    INTENTS_FIELD_NUMBER: _ClassVar[int]
    HANDOVER_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    LAST_TURNS_FIELD_NUMBER: _ClassVar[int]
    found: bool
    call_id: str
    lane: str
    language: str
    state: str
    reason: str
    opened_unix_ms: int
    closed_unix_ms: int
    turns: int
    intents: _containers.RepeatedScalarFieldContainer[str]
    handover_summary: str
    last_turns: _containers.RepeatedCompositeFieldContainer[PastTurn]
    def __init__(self, found: _Optional[bool] = ..., call_id: _Optional[str] = ..., lane: _Optional[str] = ..., language: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., opened_unix_ms: _Optional[int] = ..., closed_unix_ms: _Optional[int] = ..., turns: _Optional[int] = ..., intents: _Optional[_Iterable[str]] = ..., handover_summary: _Optional[str] = ..., last_turns: _Optional[_Iterable[_Union[PastTurn, _Mapping]]] = ...) -> None: ...
