import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import backend_pb2 as _backend_pb2
from waybill.common.v1 import reading_pb2 as _reading_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Run(_message.Message):
    __slots__ = ("run_id", "correlation_id", "state", "step", "reason", "message", "collection", "document_key", "document_id", "source_sha256", "size_bytes", "pages", "chunks", "embedded_chunks", "cost_nano_usd", "simulated_nano_usd", "uncertain_nano_usd", "uncertain_simulated_nano_usd", "trace_id", "create_time", "end_time", "starts", "complete_by", "tries", "embedding_tier", "embedding_tier_reason", "reading", "subject", "credential_id", "backends")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Run.State]
        STATE_QUEUED: _ClassVar[Run.State]
        STATE_RUNNING: _ClassVar[Run.State]
        STATE_WAITING_ON_VENDOR: _ClassVar[Run.State]
        STATE_BLOCKED_ON_BUDGET: _ClassVar[Run.State]
        STATE_READY: _ClassVar[Run.State]
        STATE_READY_DEGRADED: _ClassVar[Run.State]
        STATE_UNCHANGED: _ClassVar[Run.State]
        STATE_FAILED: _ClassVar[Run.State]
        STATE_EXPIRED: _ClassVar[Run.State]
        STATE_CANCELLED: _ClassVar[Run.State]
    STATE_UNSPECIFIED: Run.State
    STATE_QUEUED: Run.State
    STATE_RUNNING: Run.State
    STATE_WAITING_ON_VENDOR: Run.State
    STATE_BLOCKED_ON_BUDGET: Run.State
    STATE_READY: Run.State
    STATE_READY_DEGRADED: Run.State
    STATE_UNCHANGED: Run.State
    STATE_FAILED: Run.State
    STATE_EXPIRED: Run.State
    STATE_CANCELLED: Run.State
    class EmbeddingTier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EMBEDDING_TIER_UNSPECIFIED: _ClassVar[Run.EmbeddingTier]
        EMBEDDING_TIER_SYNCHRONOUS: _ClassVar[Run.EmbeddingTier]
        EMBEDDING_TIER_BATCH: _ClassVar[Run.EmbeddingTier]
    EMBEDDING_TIER_UNSPECIFIED: Run.EmbeddingTier
    EMBEDDING_TIER_SYNCHRONOUS: Run.EmbeddingTier
    EMBEDDING_TIER_BATCH: Run.EmbeddingTier
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDED_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_SIMULATED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    STARTS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_BY_FIELD_NUMBER: _ClassVar[int]
    TRIES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_TIER_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_TIER_REASON_FIELD_NUMBER: _ClassVar[int]
    READING_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    correlation_id: str
    state: Run.State
    step: str
    reason: str
    message: str
    collection: str
    document_key: str
    document_id: str
    source_sha256: str
    size_bytes: int
    pages: int
    chunks: int
    embedded_chunks: int
    cost_nano_usd: int
    simulated_nano_usd: int
    uncertain_nano_usd: int
    uncertain_simulated_nano_usd: int
    trace_id: str
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    starts: int
    complete_by: _timestamp_pb2.Timestamp
    tries: int
    embedding_tier: Run.EmbeddingTier
    embedding_tier_reason: str
    reading: _reading_pb2.Reading
    subject: str
    credential_id: str
    backends: _containers.RepeatedCompositeFieldContainer[_backend_pb2.BackendChoice]
    def __init__(self, run_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., state: _Optional[_Union[Run.State, str]] = ..., step: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., collection: _Optional[str] = ..., document_key: _Optional[str] = ..., document_id: _Optional[str] = ..., source_sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ..., pages: _Optional[int] = ..., chunks: _Optional[int] = ..., embedded_chunks: _Optional[int] = ..., cost_nano_usd: _Optional[int] = ..., simulated_nano_usd: _Optional[int] = ..., uncertain_nano_usd: _Optional[int] = ..., uncertain_simulated_nano_usd: _Optional[int] = ..., trace_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., starts: _Optional[int] = ..., complete_by: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tries: _Optional[int] = ..., embedding_tier: _Optional[_Union[Run.EmbeddingTier, str]] = ..., embedding_tier_reason: _Optional[str] = ..., reading: _Optional[_Union[_reading_pb2.Reading, _Mapping]] = ..., subject: _Optional[str] = ..., credential_id: _Optional[str] = ..., backends: _Optional[_Iterable[_Union[_backend_pb2.BackendChoice, _Mapping]]] = ...) -> None: ...
