from waybill.common.v1 import cost_pb2 as _cost_pb2
from waybill.common.v1 import space_pb2 as _space_pb2
from waybill.storage.v1 import chunk_pb2 as _chunk_pb2
from waybill.storage.v1 import collection_space_pb2 as _collection_space_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FillPlan(_message.Message):
    __slots__ = ("space", "measure", "vendor", "model", "kind", "nano_usd_per_million", "nano_usd", "price_day")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    NANO_USD_FIELD_NUMBER: _ClassVar[int]
    PRICE_DAY_FIELD_NUMBER: _ClassVar[int]
    space: _space_pb2.Space
    measure: _collection_space_pb2.SpaceMeasure
    vendor: str
    model: str
    kind: _cost_pb2.CostKind
    nano_usd_per_million: int
    nano_usd: int
    price_day: str
    def __init__(self, space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., measure: _Optional[_Union[_collection_space_pb2.SpaceMeasure, _Mapping]] = ..., vendor: _Optional[str] = ..., model: _Optional[str] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., nano_usd_per_million: _Optional[int] = ..., nano_usd: _Optional[int] = ..., price_day: _Optional[str] = ...) -> None: ...

class SpaceTrial(_message.Message):
    __slots__ = ("space", "hybrid", "nearest", "exact", "coverage")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    HYBRID_FIELD_NUMBER: _ClassVar[int]
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    space: _space_pb2.Space
    hybrid: _containers.RepeatedCompositeFieldContainer[_chunk_pb2.Hit]
    nearest: _containers.RepeatedCompositeFieldContainer[_chunk_pb2.Hit]
    exact: _containers.RepeatedCompositeFieldContainer[_chunk_pb2.Hit]
    coverage: _chunk_pb2.Coverage
    def __init__(self, space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., hybrid: _Optional[_Iterable[_Union[_chunk_pb2.Hit, _Mapping]]] = ..., nearest: _Optional[_Iterable[_Union[_chunk_pb2.Hit, _Mapping]]] = ..., exact: _Optional[_Iterable[_Union[_chunk_pb2.Hit, _Mapping]]] = ..., coverage: _Optional[_Union[_chunk_pb2.Coverage, _Mapping]] = ...) -> None: ...
