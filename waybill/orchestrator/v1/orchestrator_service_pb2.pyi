import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import file_type_pb2 as _file_type_pb2
from waybill.common.v1 import space_pb2 as _space_pb2
from waybill.orchestrator.v1 import document_pb2 as _document_pb2
from waybill.orchestrator.v1 import heal_plan_pb2 as _heal_plan_pb2
from waybill.orchestrator.v1 import plan_pb2 as _plan_pb2
from waybill.orchestrator.v1 import run_pb2 as _run_pb2
from waybill.orchestrator.v1 import span_pb2 as _span_pb2
from waybill.storage.v1 import chunk_pb2 as _chunk_pb2
from waybill.storage.v1 import document_pb2 as _document_pb2_1
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestRequest(_message.Message):
    __slots__ = ("header", "data")
    class Header(_message.Message):
        __slots__ = ("collection", "document_key", "filename", "size_bytes", "sha256", "request_id", "complete_by", "metadata", "origin", "max_nano_usd", "plan")
        class MetadataEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        COLLECTION_FIELD_NUMBER: _ClassVar[int]
        DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
        FILENAME_FIELD_NUMBER: _ClassVar[int]
        SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
        SHA256_FIELD_NUMBER: _ClassVar[int]
        REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
        COMPLETE_BY_FIELD_NUMBER: _ClassVar[int]
        METADATA_FIELD_NUMBER: _ClassVar[int]
        ORIGIN_FIELD_NUMBER: _ClassVar[int]
        MAX_NANO_USD_FIELD_NUMBER: _ClassVar[int]
        PLAN_FIELD_NUMBER: _ClassVar[int]
        collection: str
        document_key: str
        filename: str
        size_bytes: int
        sha256: str
        request_id: str
        complete_by: _timestamp_pb2.Timestamp
        metadata: _containers.ScalarMap[str, str]
        origin: str
        max_nano_usd: int
        plan: _plan_pb2.ApprovedPlan
        def __init__(self, collection: _Optional[str] = ..., document_key: _Optional[str] = ..., filename: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., request_id: _Optional[str] = ..., complete_by: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., origin: _Optional[str] = ..., max_nano_usd: _Optional[int] = ..., plan: _Optional[_Union[_plan_pb2.ApprovedPlan, _Mapping]] = ...) -> None: ...
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: IngestRequest.Header
    data: bytes
    def __init__(self, header: _Optional[_Union[IngestRequest.Header, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class GetRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "correlation_id", "states", "document_key", "collection", "accepted_from", "accepted_before")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FROM_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    correlation_id: str
    states: _containers.RepeatedScalarFieldContainer[_run_pb2.Run.State]
    document_key: str
    collection: str
    accepted_from: _timestamp_pb2.Timestamp
    accepted_before: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., correlation_id: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_run_pb2.Run.State, str]]] = ..., document_key: _Optional[str] = ..., collection: _Optional[str] = ..., accepted_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accepted_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[_run_pb2.Run]
    next_page_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[_run_pb2.Run, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchRunRequest(_message.Message):
    __slots__ = ("run_id", "resume_token")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    resume_token: str
    def __init__(self, run_id: _Optional[str] = ..., resume_token: _Optional[str] = ...) -> None: ...

class WatchRunResponse(_message.Message):
    __slots__ = ("run", "resume_token")
    RUN_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    resume_token: str
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ..., resume_token: _Optional[str] = ...) -> None: ...

class CancelRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class CancelRunResponse(_message.Message):
    __slots__ = ("run", "released_nano_usd", "released_simulated_nano_usd")
    RUN_FIELD_NUMBER: _ClassVar[int]
    RELEASED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    RELEASED_SIMULATED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    released_nano_usd: int
    released_simulated_nano_usd: int
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ..., released_nano_usd: _Optional[int] = ..., released_simulated_nano_usd: _Optional[int] = ...) -> None: ...

class RetryRunRequest(_message.Message):
    __slots__ = ("run_id", "complete_by")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_BY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    complete_by: _timestamp_pb2.Timestamp
    def __init__(self, run_id: _Optional[str] = ..., complete_by: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RetryRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ...) -> None: ...

class HealRunRequest(_message.Message):
    __slots__ = ("run_id", "plan")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    plan: _plan_pb2.ApprovedPlan
    def __init__(self, run_id: _Optional[str] = ..., plan: _Optional[_Union[_plan_pb2.ApprovedPlan, _Mapping]] = ...) -> None: ...

class HealRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: _run_pb2.Run
    def __init__(self, run: _Optional[_Union[_run_pb2.Run, _Mapping]] = ...) -> None: ...

class DeleteDocumentRequest(_message.Message):
    __slots__ = ("collection", "document_key")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    collection: str
    document_key: str
    def __init__(self, collection: _Optional[str] = ..., document_key: _Optional[str] = ...) -> None: ...

class DeleteDocumentResponse(_message.Message):
    __slots__ = ("versions", "chunks", "vectors", "sources", "parse_results")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    PARSE_RESULTS_FIELD_NUMBER: _ClassVar[int]
    versions: int
    chunks: int
    vectors: int
    sources: int
    parse_results: int
    def __init__(self, versions: _Optional[int] = ..., chunks: _Optional[int] = ..., vectors: _Optional[int] = ..., sources: _Optional[int] = ..., parse_results: _Optional[int] = ...) -> None: ...

class DeleteDocumentsRequest(_message.Message):
    __slots__ = ("collection", "metadata", "page_size", "page_token")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    metadata: _containers.ScalarMap[str, str]
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class DeleteDocumentsResponse(_message.Message):
    __slots__ = ("documents", "versions", "chunks", "vectors", "sources", "parse_results", "unfinished", "next_page_token")
    class Unfinished(_message.Message):
        __slots__ = ("document_key", "run_id")
        DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
        RUN_ID_FIELD_NUMBER: _ClassVar[int]
        document_key: str
        run_id: str
        def __init__(self, document_key: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    PARSE_RESULTS_FIELD_NUMBER: _ClassVar[int]
    UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    documents: int
    versions: int
    chunks: int
    vectors: int
    sources: int
    parse_results: int
    unfinished: _containers.RepeatedCompositeFieldContainer[DeleteDocumentsResponse.Unfinished]
    next_page_token: str
    def __init__(self, documents: _Optional[int] = ..., versions: _Optional[int] = ..., chunks: _Optional[int] = ..., vectors: _Optional[int] = ..., sources: _Optional[int] = ..., parse_results: _Optional[int] = ..., unfinished: _Optional[_Iterable[_Union[DeleteDocumentsResponse.Unfinished, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

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
    collections: _containers.RepeatedCompositeFieldContainer[_document_pb2_1.Collection]
    next_page_token: str
    def __init__(self, collections: _Optional[_Iterable[_Union[_document_pb2_1.Collection, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListChunksRequest(_message.Message):
    __slots__ = ("collection", "document_key", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    document_key: str
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., document_key: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListChunksResponse(_message.Message):
    __slots__ = ("chunks", "next_page_token", "version_id")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    chunks: _containers.RepeatedCompositeFieldContainer[_chunk_pb2.Chunk]
    next_page_token: str
    version_id: str
    def __init__(self, chunks: _Optional[_Iterable[_Union[_chunk_pb2.Chunk, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., version_id: _Optional[str] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("collection", "query", "limit", "document_keys", "metadata", "first_page", "last_page")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEYS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    FIRST_PAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_PAGE_FIELD_NUMBER: _ClassVar[int]
    collection: str
    query: str
    limit: int
    document_keys: _containers.RepeatedScalarFieldContainer[str]
    metadata: _containers.ScalarMap[str, str]
    first_page: int
    last_page: int
    def __init__(self, collection: _Optional[str] = ..., query: _Optional[str] = ..., limit: _Optional[int] = ..., document_keys: _Optional[_Iterable[str]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., first_page: _Optional[int] = ..., last_page: _Optional[int] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("hits", "space", "coverage", "hint", "without_vector")
    HITS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_VECTOR_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[_chunk_pb2.Hit]
    space: _space_pb2.Space
    coverage: _chunk_pb2.Coverage
    hint: str
    without_vector: str
    def __init__(self, hits: _Optional[_Iterable[_Union[_chunk_pb2.Hit, _Mapping]]] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., coverage: _Optional[_Union[_chunk_pb2.Coverage, _Mapping]] = ..., hint: _Optional[str] = ..., without_vector: _Optional[str] = ...) -> None: ...

class GetTraceRequest(_message.Message):
    __slots__ = ("run_id", "correlation_id", "page_token")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    correlation_id: str
    page_token: str
    def __init__(self, run_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetTraceResponse(_message.Message):
    __slots__ = ("traces", "next_page_token")
    class Trace(_message.Message):
        __slots__ = ("run_id", "trace_id", "spans")
        RUN_ID_FIELD_NUMBER: _ClassVar[int]
        TRACE_ID_FIELD_NUMBER: _ClassVar[int]
        SPANS_FIELD_NUMBER: _ClassVar[int]
        run_id: str
        trace_id: str
        spans: _containers.RepeatedCompositeFieldContainer[_span_pb2.Span]
        def __init__(self, run_id: _Optional[str] = ..., trace_id: _Optional[str] = ..., spans: _Optional[_Iterable[_Union[_span_pb2.Span, _Mapping]]] = ...) -> None: ...
    TRACES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    traces: _containers.RepeatedCompositeFieldContainer[GetTraceResponse.Trace]
    next_page_token: str
    def __init__(self, traces: _Optional[_Iterable[_Union[GetTraceResponse.Trace, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListFileTypesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListFileTypesResponse(_message.Message):
    __slots__ = ("file_types", "any_text")
    FILE_TYPES_FIELD_NUMBER: _ClassVar[int]
    ANY_TEXT_FIELD_NUMBER: _ClassVar[int]
    file_types: _containers.RepeatedCompositeFieldContainer[_file_type_pb2.FileType]
    any_text: bool
    def __init__(self, file_types: _Optional[_Iterable[_Union[_file_type_pb2.FileType, _Mapping]]] = ..., any_text: _Optional[bool] = ...) -> None: ...
