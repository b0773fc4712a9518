from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("state", "reason", "lane_calls", "sip_uri", "calls")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LANE_CALLS_FIELD_NUMBER: _ClassVar[int]
    SIP_URI_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    state: str
    reason: str
    lane_calls: int
    sip_uri: str
    calls: _containers.RepeatedCompositeFieldContainer[LiveCall]
    def __init__(self, state: _Optional[str] = ..., reason: _Optional[str] = ..., lane_calls: _Optional[int] = ..., sip_uri: _Optional[str] = ..., calls: _Optional[_Iterable[_Union[LiveCall, _Mapping]]] = ...) -> None: ...

class LiveCall(_message.Message):
    __slots__ = ("call_id", "sip_call_id", "state", "codec", "answered_seconds", "attached")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    SIP_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    sip_call_id: str
    state: str
    codec: str
    answered_seconds: int
    attached: bool
    def __init__(self, call_id: _Optional[str] = ..., sip_call_id: _Optional[str] = ..., state: _Optional[str] = ..., codec: _Optional[str] = ..., answered_seconds: _Optional[int] = ..., attached: _Optional[bool] = ...) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("timeout_seconds",)
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    timeout_seconds: int
    def __init__(self, timeout_seconds: _Optional[int] = ...) -> None: ...

class DrainReply(_message.Message):
    __slots__ = ("live_calls",)
    LIVE_CALLS_FIELD_NUMBER: _ClassVar[int]
    live_calls: int
    def __init__(self, live_calls: _Optional[int] = ...) -> None: ...

class UndrainRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UndrainReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
