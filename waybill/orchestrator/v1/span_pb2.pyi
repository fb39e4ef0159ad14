from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Span(_message.Message):
    __slots__ = ("span_id", "parent_span_id", "service", "name", "kind", "start_unix_nano", "duration_nano", "status", "interrupted", "entry_id", "cost_nano_usd", "simulated_nano_usd")
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    START_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    DURATION_NANO_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    span_id: str
    parent_span_id: str
    service: str
    name: str
    kind: str
    start_unix_nano: int
    duration_nano: int
    status: str
    interrupted: bool
    entry_id: str
    cost_nano_usd: int
    simulated_nano_usd: int
    def __init__(self, span_id: _Optional[str] = ..., parent_span_id: _Optional[str] = ..., service: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., start_unix_nano: _Optional[int] = ..., duration_nano: _Optional[int] = ..., status: _Optional[str] = ..., interrupted: _Optional[bool] = ..., entry_id: _Optional[str] = ..., cost_nano_usd: _Optional[int] = ..., simulated_nano_usd: _Optional[int] = ...) -> None: ...
