from waybill.common.v1 import cost_pb2 as _cost_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Grouping(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GROUPING_UNSPECIFIED: _ClassVar[Grouping]
    GROUPING_DAY: _ClassVar[Grouping]
    GROUPING_DOCUMENT: _ClassVar[Grouping]
    GROUPING_RUN: _ClassVar[Grouping]
    GROUPING_SERVICE: _ClassVar[Grouping]
    GROUPING_MODEL: _ClassVar[Grouping]
    GROUPING_COLLECTION: _ClassVar[Grouping]
    GROUPING_TENANT: _ClassVar[Grouping]
GROUPING_UNSPECIFIED: Grouping
GROUPING_DAY: Grouping
GROUPING_DOCUMENT: Grouping
GROUPING_RUN: Grouping
GROUPING_SERVICE: Grouping
GROUPING_MODEL: Grouping
GROUPING_COLLECTION: Grouping
GROUPING_TENANT: Grouping

class ReportLine(_message.Message):
    __slots__ = ("group", "collection", "kind", "vendor", "model", "unit", "price_nano_usd_per_million", "price_date", "price_source", "attempts", "quantity", "settled_nano_usd", "adjusted_nano_usd", "held_nano_usd", "in_doubt_nano_usd", "written_off_nano_usd", "would_cost_nano_usd", "cached_quantity", "avoided_nano_usd")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PRICE_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    PRICE_DATE_FIELD_NUMBER: _ClassVar[int]
    PRICE_SOURCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    SETTLED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    HELD_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    IN_DOUBT_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_OFF_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    WOULD_COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    CACHED_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AVOIDED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    group: str
    collection: str
    kind: _cost_pb2.CostKind
    vendor: str
    model: str
    unit: str
    price_nano_usd_per_million: int
    price_date: str
    price_source: str
    attempts: int
    quantity: int
    settled_nano_usd: int
    adjusted_nano_usd: int
    held_nano_usd: int
    in_doubt_nano_usd: int
    written_off_nano_usd: int
    would_cost_nano_usd: int
    cached_quantity: int
    avoided_nano_usd: int
    def __init__(self, group: _Optional[str] = ..., collection: _Optional[str] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., vendor: _Optional[str] = ..., model: _Optional[str] = ..., unit: _Optional[str] = ..., price_nano_usd_per_million: _Optional[int] = ..., price_date: _Optional[str] = ..., price_source: _Optional[str] = ..., attempts: _Optional[int] = ..., quantity: _Optional[int] = ..., settled_nano_usd: _Optional[int] = ..., adjusted_nano_usd: _Optional[int] = ..., held_nano_usd: _Optional[int] = ..., in_doubt_nano_usd: _Optional[int] = ..., written_off_nano_usd: _Optional[int] = ..., would_cost_nano_usd: _Optional[int] = ..., cached_quantity: _Optional[int] = ..., avoided_nano_usd: _Optional[int] = ...) -> None: ...

class ReportTotal(_message.Message):
    __slots__ = ("kind", "attempts", "cost_nano_usd", "held_nano_usd", "in_doubt_nano_usd", "written_off_nano_usd")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    HELD_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    IN_DOUBT_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_OFF_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    kind: _cost_pb2.CostKind
    attempts: int
    cost_nano_usd: int
    held_nano_usd: int
    in_doubt_nano_usd: int
    written_off_nano_usd: int
    def __init__(self, kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., attempts: _Optional[int] = ..., cost_nano_usd: _Optional[int] = ..., held_nano_usd: _Optional[int] = ..., in_doubt_nano_usd: _Optional[int] = ..., written_off_nano_usd: _Optional[int] = ...) -> None: ...
