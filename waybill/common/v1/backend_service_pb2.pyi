import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import backend_pb2 as _backend_pb2
from waybill.common.v1 import cost_pb2 as _cost_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetBackendRequest(_message.Message):
    __slots__ = ("mode",)
    MODE_FIELD_NUMBER: _ClassVar[int]
    mode: _backend_pb2.Mode
    def __init__(self, mode: _Optional[_Union[_backend_pb2.Mode, str]] = ...) -> None: ...

class GetBackendResponse(_message.Message):
    __slots__ = ("choice", "settings", "vendor_kind", "start_time")
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    VENDOR_KIND_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    choice: _backend_pb2.BackendChoice
    settings: str
    vendor_kind: _cost_pb2.CostKind
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, choice: _Optional[_Union[_backend_pb2.BackendChoice, _Mapping]] = ..., settings: _Optional[str] = ..., vendor_kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
