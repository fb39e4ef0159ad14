import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import backend_pb2 as _backend_pb2
from waybill.common.v1 import space_pb2 as _space_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Document(_message.Message):
    __slots__ = ("document_id", "collection", "document_key", "version_id", "run_id", "source_sha256", "chunk_count", "space", "metadata", "origin", "create_time", "publish_time", "pending_vectors", "backends", "lacking")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    PENDING_VECTORS_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    LACKING_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    collection: str
    document_key: str
    version_id: str
    run_id: str
    source_sha256: str
    chunk_count: int
    space: _space_pb2.Space
    metadata: _containers.ScalarMap[str, str]
    origin: str
    create_time: _timestamp_pb2.Timestamp
    publish_time: _timestamp_pb2.Timestamp
    pending_vectors: int
    backends: _containers.RepeatedCompositeFieldContainer[_backend_pb2.BackendChoice]
    lacking: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, document_id: _Optional[str] = ..., collection: _Optional[str] = ..., document_key: _Optional[str] = ..., version_id: _Optional[str] = ..., run_id: _Optional[str] = ..., source_sha256: _Optional[str] = ..., chunk_count: _Optional[int] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., origin: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pending_vectors: _Optional[int] = ..., backends: _Optional[_Iterable[_Union[_backend_pb2.BackendChoice, _Mapping]]] = ..., lacking: _Optional[_Iterable[str]] = ...) -> None: ...

class Collection(_message.Message):
    __slots__ = ("collection", "documents", "chunks")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    documents: int
    chunks: int
    def __init__(self, collection: _Optional[str] = ..., documents: _Optional[int] = ..., chunks: _Optional[int] = ...) -> None: ...
