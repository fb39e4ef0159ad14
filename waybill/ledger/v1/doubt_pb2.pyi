from waybill.ledger.v1 import entry_pb2 as _entry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Doubt(_message.Message):
    __slots__ = ("tenant", "entry")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    entry: _entry_pb2.Entry
    def __init__(self, tenant: _Optional[str] = ..., entry: _Optional[_Union[_entry_pb2.Entry, _Mapping]] = ...) -> None: ...

class ClaimDoubtsRequest(_message.Message):
    __slots__ = ("vendor", "page_size")
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    vendor: str
    page_size: int
    def __init__(self, vendor: _Optional[str] = ..., page_size: _Optional[int] = ...) -> None: ...

class ClaimDoubtsResponse(_message.Message):
    __slots__ = ("doubts",)
    DOUBTS_FIELD_NUMBER: _ClassVar[int]
    doubts: _containers.RepeatedCompositeFieldContainer[Doubt]
    def __init__(self, doubts: _Optional[_Iterable[_Union[Doubt, _Mapping]]] = ...) -> None: ...

class NoteDoubtRequest(_message.Message):
    __slots__ = ("entry_id", "answer", "final")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    answer: str
    final: bool
    def __init__(self, entry_id: _Optional[str] = ..., answer: _Optional[str] = ..., final: _Optional[bool] = ...) -> None: ...

class NoteDoubtResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _entry_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_entry_pb2.Entry, _Mapping]] = ...) -> None: ...
