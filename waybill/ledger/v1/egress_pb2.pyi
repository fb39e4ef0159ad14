from waybill.common.v1 import cost_pb2 as _cost_pb2
from waybill.ledger.v1 import entry_pb2 as _entry_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AccrueEgressRequest(_message.Message):
    __slots__ = ("counter_id", "day", "kind", "vendor", "size_bytes")
    COUNTER_ID_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    counter_id: str
    day: str
    kind: _cost_pb2.CostKind
    vendor: str
    size_bytes: int
    def __init__(self, counter_id: _Optional[str] = ..., day: _Optional[str] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., vendor: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class AccrueEgressResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _entry_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_entry_pb2.Entry, _Mapping]] = ...) -> None: ...
