from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_LOCAL: _ClassVar[Mode]
    MODE_REAL: _ClassVar[Mode]
    MODE_HYBRID: _ClassVar[Mode]
MODE_UNSPECIFIED: Mode
MODE_LOCAL: Mode
MODE_REAL: Mode
MODE_HYBRID: Mode

class BackendChoice(_message.Message):
    __slots__ = ("service", "backend", "mode", "reason", "blocked_on")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_ON_FIELD_NUMBER: _ClassVar[int]
    service: str
    backend: str
    mode: Mode
    reason: str
    blocked_on: str
    def __init__(self, service: _Optional[str] = ..., backend: _Optional[str] = ..., mode: _Optional[_Union[Mode, str]] = ..., reason: _Optional[str] = ..., blocked_on: _Optional[str] = ...) -> None: ...
