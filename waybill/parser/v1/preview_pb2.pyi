from waybill.common.v1 import backend_pb2 as _backend_pb2
from waybill.common.v1 import cost_pb2 as _cost_pb2
from waybill.common.v1 import reading_pb2 as _reading_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PreviewParseRequest(_message.Message):
    __slots__ = ("header", "data")
    class Header(_message.Message):
        __slots__ = ("source_sha256", "filename", "size_bytes", "mode")
        SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
        FILENAME_FIELD_NUMBER: _ClassVar[int]
        SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
        MODE_FIELD_NUMBER: _ClassVar[int]
        source_sha256: str
        filename: str
        size_bytes: int
        mode: _backend_pb2.Mode
        def __init__(self, source_sha256: _Optional[str] = ..., filename: _Optional[str] = ..., size_bytes: _Optional[int] = ..., mode: _Optional[_Union[_backend_pb2.Mode, str]] = ...) -> None: ...
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: PreviewParseRequest.Header
    data: bytes
    def __init__(self, header: _Optional[_Union[PreviewParseRequest.Header, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class PreviewParseResponse(_message.Message):
    __slots__ = ("preview", "lines")
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    preview: Preview
    lines: bytes
    def __init__(self, preview: _Optional[_Union[Preview, _Mapping]] = ..., lines: _Optional[bytes] = ...) -> None: ...

class Preview(_message.Message):
    __slots__ = ("vendor", "cost_kind", "model", "count", "vendor_count", "paid", "result_key", "text_known", "reading", "paid_tiers")
    class Count(_message.Message):
        __slots__ = ("expected", "most", "exact")
        EXPECTED_FIELD_NUMBER: _ClassVar[int]
        MOST_FIELD_NUMBER: _ClassVar[int]
        EXACT_FIELD_NUMBER: _ClassVar[int]
        expected: int
        most: int
        exact: bool
        def __init__(self, expected: _Optional[int] = ..., most: _Optional[int] = ..., exact: _Optional[bool] = ...) -> None: ...
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    COST_KIND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    VENDOR_COUNT_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    RESULT_KEY_FIELD_NUMBER: _ClassVar[int]
    TEXT_KNOWN_FIELD_NUMBER: _ClassVar[int]
    READING_FIELD_NUMBER: _ClassVar[int]
    PAID_TIERS_FIELD_NUMBER: _ClassVar[int]
    vendor: str
    cost_kind: _cost_pb2.CostKind
    model: str
    count: Preview.Count
    vendor_count: Preview.Count
    paid: bool
    result_key: str
    text_known: bool
    reading: _reading_pb2.Reading
    paid_tiers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, vendor: _Optional[str] = ..., cost_kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., model: _Optional[str] = ..., count: _Optional[_Union[Preview.Count, _Mapping]] = ..., vendor_count: _Optional[_Union[Preview.Count, _Mapping]] = ..., paid: _Optional[bool] = ..., result_key: _Optional[str] = ..., text_known: _Optional[bool] = ..., reading: _Optional[_Union[_reading_pb2.Reading, _Mapping]] = ..., paid_tiers: _Optional[_Iterable[str]] = ...) -> None: ...
