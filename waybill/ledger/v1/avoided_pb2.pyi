import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import cost_pb2 as _cost_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Avoided(_message.Message):
    __slots__ = ("run_id", "operation", "service", "kind", "vendor", "model", "quantity", "unit", "price_nano_usd_per_million", "nano_usd", "note_time")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PRICE_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    NANO_USD_FIELD_NUMBER: _ClassVar[int]
    NOTE_TIME_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    operation: str
    service: str
    kind: _cost_pb2.CostKind
    vendor: str
    model: str
    quantity: int
    unit: str
    price_nano_usd_per_million: int
    nano_usd: int
    note_time: _timestamp_pb2.Timestamp
    def __init__(self, run_id: _Optional[str] = ..., operation: _Optional[str] = ..., service: _Optional[str] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., vendor: _Optional[str] = ..., model: _Optional[str] = ..., quantity: _Optional[int] = ..., unit: _Optional[str] = ..., price_nano_usd_per_million: _Optional[int] = ..., nano_usd: _Optional[int] = ..., note_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class NoteAvoidedRequest(_message.Message):
    __slots__ = ("kept", "earlier")
    class Kept(_message.Message):
        __slots__ = ("operation", "service", "kind", "vendor", "model", "unit", "quantity")
        OPERATION_FIELD_NUMBER: _ClassVar[int]
        SERVICE_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        VENDOR_FIELD_NUMBER: _ClassVar[int]
        MODEL_FIELD_NUMBER: _ClassVar[int]
        UNIT_FIELD_NUMBER: _ClassVar[int]
        QUANTITY_FIELD_NUMBER: _ClassVar[int]
        operation: str
        service: str
        kind: _cost_pb2.CostKind
        vendor: str
        model: str
        unit: str
        quantity: int
        def __init__(self, operation: _Optional[str] = ..., service: _Optional[str] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., vendor: _Optional[str] = ..., model: _Optional[str] = ..., unit: _Optional[str] = ..., quantity: _Optional[int] = ...) -> None: ...
    class Earlier(_message.Message):
        __slots__ = ("run_id", "operations")
        RUN_ID_FIELD_NUMBER: _ClassVar[int]
        OPERATIONS_FIELD_NUMBER: _ClassVar[int]
        run_id: str
        operations: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, run_id: _Optional[str] = ..., operations: _Optional[_Iterable[str]] = ...) -> None: ...
    KEPT_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    kept: NoteAvoidedRequest.Kept
    earlier: NoteAvoidedRequest.Earlier
    def __init__(self, kept: _Optional[_Union[NoteAvoidedRequest.Kept, _Mapping]] = ..., earlier: _Optional[_Union[NoteAvoidedRequest.Earlier, _Mapping]] = ...) -> None: ...

class NoteAvoidedResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAvoidedRequest(_message.Message):
    __slots__ = ("run_ids", "correlation_id", "page_size", "page_token")
    RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    run_ids: _containers.RepeatedScalarFieldContainer[str]
    correlation_id: str
    page_size: int
    page_token: str
    def __init__(self, run_ids: _Optional[_Iterable[str]] = ..., correlation_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAvoidedResponse(_message.Message):
    __slots__ = ("avoided", "next_page_token")
    AVOIDED_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    avoided: _containers.RepeatedCompositeFieldContainer[Avoided]
    next_page_token: str
    def __init__(self, avoided: _Optional[_Iterable[_Union[Avoided, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
