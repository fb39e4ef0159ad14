from waybill.common.v1 import backend_pb2 as _backend_pb2
from waybill.common.v1 import space_pb2 as _space_pb2
from waybill.embedder.v1 import batch_job_pb2 as _batch_job_pb2
from waybill.embedder.v1 import embedding_pb2 as _embedding_pb2
from waybill.embedder.v1 import offer_pb2 as _offer_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbedRequest(_message.Message):
    __slots__ = ("texts", "space", "model", "dimension", "mode")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    space: _space_pb2.Space
    model: str
    dimension: int
    mode: _backend_pb2.Mode
    def __init__(self, texts: _Optional[_Iterable[str]] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., model: _Optional[str] = ..., dimension: _Optional[int] = ..., mode: _Optional[_Union[_backend_pb2.Mode, str]] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("space", "embeddings", "usage", "batches_offered", "offer", "choice")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    BATCHES_OFFERED_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    space: _space_pb2.Space
    embeddings: _containers.RepeatedCompositeFieldContainer[_embedding_pb2.Embedding]
    usage: _embedding_pb2.Usage
    batches_offered: bool
    offer: _offer_pb2.EmbeddingOffer
    choice: _backend_pb2.BackendChoice
    def __init__(self, space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., embeddings: _Optional[_Iterable[_Union[_embedding_pb2.Embedding, _Mapping]]] = ..., usage: _Optional[_Union[_embedding_pb2.Usage, _Mapping]] = ..., batches_offered: _Optional[bool] = ..., offer: _Optional[_Union[_offer_pb2.EmbeddingOffer, _Mapping]] = ..., choice: _Optional[_Union[_backend_pb2.BackendChoice, _Mapping]] = ...) -> None: ...

class CreateBatchJobRequest(_message.Message):
    __slots__ = ("header", "texts")
    class Header(_message.Message):
        __slots__ = ("name", "space")
        NAME_FIELD_NUMBER: _ClassVar[int]
        SPACE_FIELD_NUMBER: _ClassVar[int]
        name: _batch_job_pb2.BatchJobName
        space: _space_pb2.Space
        def __init__(self, name: _Optional[_Union[_batch_job_pb2.BatchJobName, _Mapping]] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ...) -> None: ...
    HEADER_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    header: CreateBatchJobRequest.Header
    texts: _batch_job_pb2.BatchTexts
    def __init__(self, header: _Optional[_Union[CreateBatchJobRequest.Header, _Mapping]] = ..., texts: _Optional[_Union[_batch_job_pb2.BatchTexts, _Mapping]] = ...) -> None: ...

class CreateBatchJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _batch_job_pb2.BatchJob
    def __init__(self, job: _Optional[_Union[_batch_job_pb2.BatchJob, _Mapping]] = ...) -> None: ...

class GetBatchJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: _batch_job_pb2.BatchJobName
    def __init__(self, name: _Optional[_Union[_batch_job_pb2.BatchJobName, _Mapping]] = ...) -> None: ...

class GetBatchJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _batch_job_pb2.BatchJob
    def __init__(self, job: _Optional[_Union[_batch_job_pb2.BatchJob, _Mapping]] = ...) -> None: ...

class CancelBatchJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: _batch_job_pb2.BatchJobName
    def __init__(self, name: _Optional[_Union[_batch_job_pb2.BatchJobName, _Mapping]] = ...) -> None: ...

class CancelBatchJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _batch_job_pb2.BatchJob
    def __init__(self, job: _Optional[_Union[_batch_job_pb2.BatchJob, _Mapping]] = ...) -> None: ...

class CollectBatchJobRequest(_message.Message):
    __slots__ = ("name", "settle_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SETTLE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: _batch_job_pb2.BatchJobName
    settle_only: bool
    def __init__(self, name: _Optional[_Union[_batch_job_pb2.BatchJobName, _Mapping]] = ..., settle_only: _Optional[bool] = ...) -> None: ...

class CollectBatchJobResponse(_message.Message):
    __slots__ = ("embeddings", "outcome")
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    embeddings: _containers.RepeatedCompositeFieldContainer[_embedding_pb2.Embedding]
    outcome: _batch_job_pb2.BatchOutcome
    def __init__(self, embeddings: _Optional[_Iterable[_Union[_embedding_pb2.Embedding, _Mapping]]] = ..., outcome: _Optional[_Union[_batch_job_pb2.BatchOutcome, _Mapping]] = ...) -> None: ...

class DeleteBatchJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: _batch_job_pb2.BatchJobName
    def __init__(self, name: _Optional[_Union[_batch_job_pb2.BatchJobName, _Mapping]] = ...) -> None: ...

class DeleteBatchJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
