import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import backend_pb2 as _backend_pb2
from waybill.common.v1 import space_pb2 as _space_pb2
from waybill.storage.v1 import chunk_pb2 as _chunk_pb2
from waybill.storage.v1 import comparison_pb2 as _comparison_pb2
from waybill.storage.v1 import document_pb2 as _document_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BeginVersionRequest(_message.Message):
    __slots__ = ("collection", "document_key", "source_sha256", "recipe", "space", "run_id", "validate_only", "keep_until", "metadata", "origin")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    KEEP_UNTIL_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    document_key: str
    source_sha256: str
    recipe: str
    space: _space_pb2.Space
    run_id: str
    validate_only: bool
    keep_until: _timestamp_pb2.Timestamp
    metadata: _containers.ScalarMap[str, str]
    origin: str
    def __init__(self, collection: _Optional[str] = ..., document_key: _Optional[str] = ..., source_sha256: _Optional[str] = ..., recipe: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., run_id: _Optional[str] = ..., validate_only: _Optional[bool] = ..., keep_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., origin: _Optional[str] = ...) -> None: ...

class BeginVersionResponse(_message.Message):
    __slots__ = ("outcome", "version_id", "document_id", "chunk_count", "description_differs", "pending_vectors", "run_id", "space")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[BeginVersionResponse.Outcome]
        OUTCOME_BEGUN: _ClassVar[BeginVersionResponse.Outcome]
        OUTCOME_UNCHANGED: _ClassVar[BeginVersionResponse.Outcome]
        OUTCOME_PUBLISHED: _ClassVar[BeginVersionResponse.Outcome]
    OUTCOME_UNSPECIFIED: BeginVersionResponse.Outcome
    OUTCOME_BEGUN: BeginVersionResponse.Outcome
    OUTCOME_UNCHANGED: BeginVersionResponse.Outcome
    OUTCOME_PUBLISHED: BeginVersionResponse.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_DIFFERS_FIELD_NUMBER: _ClassVar[int]
    PENDING_VECTORS_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    outcome: BeginVersionResponse.Outcome
    version_id: str
    document_id: str
    chunk_count: int
    description_differs: bool
    pending_vectors: int
    run_id: str
    space: _space_pb2.Space
    def __init__(self, outcome: _Optional[_Union[BeginVersionResponse.Outcome, str]] = ..., version_id: _Optional[str] = ..., document_id: _Optional[str] = ..., chunk_count: _Optional[int] = ..., description_differs: _Optional[bool] = ..., pending_vectors: _Optional[int] = ..., run_id: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ...) -> None: ...

class PutChunksRequest(_message.Message):
    __slots__ = ("version_id", "chunks", "begin")
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    version_id: str
    chunks: _containers.RepeatedCompositeFieldContainer[_chunk_pb2.Chunk]
    begin: BeginVersionRequest
    def __init__(self, version_id: _Optional[str] = ..., chunks: _Optional[_Iterable[_Union[_chunk_pb2.Chunk, _Mapping]]] = ..., begin: _Optional[_Union[BeginVersionRequest, _Mapping]] = ...) -> None: ...

class PutChunksResponse(_message.Message):
    __slots__ = ("reused_vectors", "begun", "pending_ordinals")
    REUSED_VECTORS_FIELD_NUMBER: _ClassVar[int]
    BEGUN_FIELD_NUMBER: _ClassVar[int]
    PENDING_ORDINALS_FIELD_NUMBER: _ClassVar[int]
    reused_vectors: int
    begun: BeginVersionResponse
    pending_ordinals: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, reused_vectors: _Optional[int] = ..., begun: _Optional[_Union[BeginVersionResponse, _Mapping]] = ..., pending_ordinals: _Optional[_Iterable[int]] = ...) -> None: ...

class ListChunksRequest(_message.Message):
    __slots__ = ("version_id", "page_size", "page_token", "start_ordinal", "end_ordinal", "pending_only", "collection", "document_key", "space")
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    START_ORDINAL_FIELD_NUMBER: _ClassVar[int]
    END_ORDINAL_FIELD_NUMBER: _ClassVar[int]
    PENDING_ONLY_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    version_id: str
    page_size: int
    page_token: str
    start_ordinal: int
    end_ordinal: int
    pending_only: bool
    collection: str
    document_key: str
    space: _space_pb2.Space
    def __init__(self, version_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., start_ordinal: _Optional[int] = ..., end_ordinal: _Optional[int] = ..., pending_only: _Optional[bool] = ..., collection: _Optional[str] = ..., document_key: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ...) -> None: ...

class ListChunksResponse(_message.Message):
    __slots__ = ("chunks", "next_page_token", "version_id")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    chunks: _containers.RepeatedCompositeFieldContainer[_chunk_pb2.Chunk]
    next_page_token: str
    version_id: str
    def __init__(self, chunks: _Optional[_Iterable[_Union[_chunk_pb2.Chunk, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., version_id: _Optional[str] = ...) -> None: ...

class PutVectorsRequest(_message.Message):
    __slots__ = ("version_id", "space", "vectors", "publish")
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    version_id: str
    space: _space_pb2.Space
    vectors: _containers.RepeatedCompositeFieldContainer[_chunk_pb2.ChunkVector]
    publish: PublishVersionRequest
    def __init__(self, version_id: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., vectors: _Optional[_Iterable[_Union[_chunk_pb2.ChunkVector, _Mapping]]] = ..., publish: _Optional[_Union[PublishVersionRequest, _Mapping]] = ...) -> None: ...

class PutVectorsResponse(_message.Message):
    __slots__ = ("published",)
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    published: PublishVersionResponse
    def __init__(self, published: _Optional[_Union[PublishVersionResponse, _Mapping]] = ...) -> None: ...

class PublishVersionRequest(_message.Message):
    __slots__ = ("version_id", "chunk_count", "edition", "vectors_pending", "backends")
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNT_FIELD_NUMBER: _ClassVar[int]
    EDITION_FIELD_NUMBER: _ClassVar[int]
    VECTORS_PENDING_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    version_id: str
    chunk_count: int
    edition: int
    vectors_pending: bool
    backends: _containers.RepeatedCompositeFieldContainer[_backend_pb2.BackendChoice]
    def __init__(self, version_id: _Optional[str] = ..., chunk_count: _Optional[int] = ..., edition: _Optional[int] = ..., vectors_pending: _Optional[bool] = ..., backends: _Optional[_Iterable[_Union[_backend_pb2.BackendChoice, _Mapping]]] = ...) -> None: ...

class PublishVersionResponse(_message.Message):
    __slots__ = ("document_id", "replaced_version_id", "pending_vectors")
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REPLACED_VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    PENDING_VECTORS_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    replaced_version_id: str
    pending_vectors: int
    def __init__(self, document_id: _Optional[str] = ..., replaced_version_id: _Optional[str] = ..., pending_vectors: _Optional[int] = ...) -> None: ...

class DeleteDocumentRequest(_message.Message):
    __slots__ = ("collection", "document_key", "source_sha256")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    collection: str
    document_key: str
    source_sha256: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[str] = ..., document_key: _Optional[str] = ..., source_sha256: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteDocumentResponse(_message.Message):
    __slots__ = ("versions", "chunks", "vectors", "orphaned_source_sha256")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    ORPHANED_SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    versions: int
    chunks: int
    vectors: int
    orphaned_source_sha256: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, versions: _Optional[int] = ..., chunks: _Optional[int] = ..., vectors: _Optional[int] = ..., orphaned_source_sha256: _Optional[_Iterable[str]] = ...) -> None: ...

class GetDocumentRequest(_message.Message):
    __slots__ = ("collection", "document_key")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    collection: str
    document_key: str
    def __init__(self, collection: _Optional[str] = ..., document_key: _Optional[str] = ...) -> None: ...

class GetDocumentResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: _document_pb2.Document
    def __init__(self, document: _Optional[_Union[_document_pb2.Document, _Mapping]] = ...) -> None: ...

class ListDocumentsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "collection", "metadata", "origin", "source_sha256")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    collection: str
    metadata: _containers.ScalarMap[str, str]
    origin: str
    source_sha256: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., collection: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., origin: _Optional[str] = ..., source_sha256: _Optional[str] = ...) -> None: ...

class ListDocumentsResponse(_message.Message):
    __slots__ = ("documents", "next_page_token")
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    documents: _containers.RepeatedCompositeFieldContainer[_document_pb2.Document]
    next_page_token: str
    def __init__(self, documents: _Optional[_Iterable[_Union[_document_pb2.Document, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListCollectionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCollectionsResponse(_message.Message):
    __slots__ = ("collections", "next_page_token")
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collections: _containers.RepeatedCompositeFieldContainer[_document_pb2.Collection]
    next_page_token: str
    def __init__(self, collections: _Optional[_Iterable[_Union[_document_pb2.Collection, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("collection", "query", "vector", "space", "mode", "limit", "document_keys", "metadata", "first_page", "last_page", "beside", "exact")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[SearchRequest.Mode]
        MODE_VECTOR: _ClassVar[SearchRequest.Mode]
        MODE_TEXT: _ClassVar[SearchRequest.Mode]
        MODE_HYBRID: _ClassVar[SearchRequest.Mode]
    MODE_UNSPECIFIED: SearchRequest.Mode
    MODE_VECTOR: SearchRequest.Mode
    MODE_TEXT: SearchRequest.Mode
    MODE_HYBRID: SearchRequest.Mode
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEYS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    FIRST_PAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_PAGE_FIELD_NUMBER: _ClassVar[int]
    BESIDE_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    collection: str
    query: str
    vector: bytes
    space: _space_pb2.Space
    mode: SearchRequest.Mode
    limit: int
    document_keys: _containers.RepeatedScalarFieldContainer[str]
    metadata: _containers.ScalarMap[str, str]
    first_page: int
    last_page: int
    beside: bool
    exact: bool
    def __init__(self, collection: _Optional[str] = ..., query: _Optional[str] = ..., vector: _Optional[bytes] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., mode: _Optional[_Union[SearchRequest.Mode, str]] = ..., limit: _Optional[int] = ..., document_keys: _Optional[_Iterable[str]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., first_page: _Optional[int] = ..., last_page: _Optional[int] = ..., beside: _Optional[bool] = ..., exact: _Optional[bool] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("hits", "space", "coverage", "hint")
    HITS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[_chunk_pb2.Hit]
    space: _space_pb2.Space
    coverage: _chunk_pb2.Coverage
    hint: str
    def __init__(self, hits: _Optional[_Iterable[_Union[_chunk_pb2.Hit, _Mapping]]] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., coverage: _Optional[_Union[_chunk_pb2.Coverage, _Mapping]] = ..., hint: _Optional[str] = ...) -> None: ...
