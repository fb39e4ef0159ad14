import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import cost_pb2 as _cost_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlanRequest(_message.Message):
    __slots__ = ("header", "data")
    class Header(_message.Message):
        __slots__ = ("collection", "document_key", "filename", "size_bytes", "sha256", "complete_by")
        COLLECTION_FIELD_NUMBER: _ClassVar[int]
        DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
        FILENAME_FIELD_NUMBER: _ClassVar[int]
        SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
        SHA256_FIELD_NUMBER: _ClassVar[int]
        COMPLETE_BY_FIELD_NUMBER: _ClassVar[int]
        collection: str
        document_key: str
        filename: str
        size_bytes: int
        sha256: str
        complete_by: _timestamp_pb2.Timestamp
        def __init__(self, collection: _Optional[str] = ..., document_key: _Optional[str] = ..., filename: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., complete_by: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: PlanRequest.Header
    data: bytes
    def __init__(self, header: _Optional[_Union[PlanRequest.Header, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class PlanResponse(_message.Message):
    __slots__ = ("price_day", "unchanged", "same_content_as", "parse_paid", "pages", "format", "chunks_new", "chunks_kept", "chunks_removed", "text_known", "lines", "approval")
    PRICE_DAY_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    SAME_CONTENT_AS_FIELD_NUMBER: _ClassVar[int]
    PARSE_PAID_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_NEW_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_KEPT_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    TEXT_KNOWN_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    price_day: str
    unchanged: bool
    same_content_as: str
    parse_paid: bool
    pages: int
    format: str
    chunks_new: int
    chunks_kept: int
    chunks_removed: int
    text_known: bool
    lines: _containers.RepeatedCompositeFieldContainer[PlanLine]
    approval: ApprovedPlan
    def __init__(self, price_day: _Optional[str] = ..., unchanged: _Optional[bool] = ..., same_content_as: _Optional[str] = ..., parse_paid: _Optional[bool] = ..., pages: _Optional[int] = ..., format: _Optional[str] = ..., chunks_new: _Optional[int] = ..., chunks_kept: _Optional[int] = ..., chunks_removed: _Optional[int] = ..., text_known: _Optional[bool] = ..., lines: _Optional[_Iterable[_Union[PlanLine, _Mapping]]] = ..., approval: _Optional[_Union[ApprovedPlan, _Mapping]] = ...) -> None: ...

class PlanLine(_message.Message):
    __slots__ = ("parse_vendor", "parse_model", "embed_vendor", "embed_model", "batch", "configured", "exact", "parse_kind", "embed_kind", "pages", "tokens", "parse_nano_usd", "embed_nano_usd", "most_parse_nano_usd", "most_embed_nano_usd")
    PARSE_VENDOR_FIELD_NUMBER: _ClassVar[int]
    PARSE_MODEL_FIELD_NUMBER: _ClassVar[int]
    EMBED_VENDOR_FIELD_NUMBER: _ClassVar[int]
    EMBED_MODEL_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CONFIGURED_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    PARSE_KIND_FIELD_NUMBER: _ClassVar[int]
    EMBED_KIND_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    PARSE_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    EMBED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    MOST_PARSE_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    MOST_EMBED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    parse_vendor: str
    parse_model: str
    embed_vendor: str
    embed_model: str
    batch: bool
    configured: bool
    exact: bool
    parse_kind: _cost_pb2.CostKind
    embed_kind: _cost_pb2.CostKind
    pages: int
    tokens: int
    parse_nano_usd: int
    embed_nano_usd: int
    most_parse_nano_usd: int
    most_embed_nano_usd: int
    def __init__(self, parse_vendor: _Optional[str] = ..., parse_model: _Optional[str] = ..., embed_vendor: _Optional[str] = ..., embed_model: _Optional[str] = ..., batch: _Optional[bool] = ..., configured: _Optional[bool] = ..., exact: _Optional[bool] = ..., parse_kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., embed_kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., pages: _Optional[int] = ..., tokens: _Optional[int] = ..., parse_nano_usd: _Optional[int] = ..., embed_nano_usd: _Optional[int] = ..., most_parse_nano_usd: _Optional[int] = ..., most_embed_nano_usd: _Optional[int] = ...) -> None: ...

class ApprovedPlan(_message.Message):
    __slots__ = ("price_day", "nano_usd", "simulated_nano_usd")
    PRICE_DAY_FIELD_NUMBER: _ClassVar[int]
    NANO_USD_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    price_day: str
    nano_usd: int
    simulated_nano_usd: int
    def __init__(self, price_day: _Optional[str] = ..., nano_usd: _Optional[int] = ..., simulated_nano_usd: _Optional[int] = ...) -> None: ...
