import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from waybill.common.v1 import access_pb2 as _access_pb2
from waybill.common.v1 import backend_pb2 as _backend_pb2
from waybill.common.v1 import space_pb2 as _space_pb2
from waybill.storage.v1 import collection_space_pb2 as _collection_space_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetCollectionSpaceRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class GetCollectionSpaceResponse(_message.Message):
    __slots__ = ("collection_space",)
    COLLECTION_SPACE_FIELD_NUMBER: _ClassVar[int]
    collection_space: _collection_space_pb2.CollectionSpace
    def __init__(self, collection_space: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ...) -> None: ...

class MeasureSpaceRequest(_message.Message):
    __slots__ = ("collection", "space")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    collection: str
    space: _space_pb2.Space
    def __init__(self, collection: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ...) -> None: ...

class MeasureSpaceResponse(_message.Message):
    __slots__ = ("measure", "most_chunks_in")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    MOST_CHUNKS_IN_FIELD_NUMBER: _ClassVar[int]
    measure: _collection_space_pb2.SpaceMeasure
    most_chunks_in: _space_pb2.Space
    def __init__(self, measure: _Optional[_Union[_collection_space_pb2.SpaceMeasure, _Mapping]] = ..., most_chunks_in: _Optional[_Union[_space_pb2.Space, _Mapping]] = ...) -> None: ...

class BeginFillRequest(_message.Message):
    __slots__ = ("collection", "space", "searched", "run_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    SEARCHED_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    space: _space_pb2.Space
    searched: _space_pb2.Space
    run_id: str
    def __init__(self, collection: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., searched: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., run_id: _Optional[str] = ...) -> None: ...

class BeginFillResponse(_message.Message):
    __slots__ = ("collection_space",)
    COLLECTION_SPACE_FIELD_NUMBER: _ClassVar[int]
    collection_space: _collection_space_pb2.CollectionSpace
    def __init__(self, collection_space: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ...) -> None: ...

class ClaimFillRequest(_message.Message):
    __slots__ = ("owner", "lease")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    owner: str
    lease: _duration_pb2.Duration
    def __init__(self, owner: _Optional[str] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ClaimFillResponse(_message.Message):
    __slots__ = ("tenant", "collection_space")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_SPACE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    collection_space: _collection_space_pb2.CollectionSpace
    def __init__(self, tenant: _Optional[str] = ..., collection_space: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ...) -> None: ...

class TakeUnfilledRequest(_message.Message):
    __slots__ = ("collection", "space", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    space: _space_pb2.Space
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., page_token: _Optional[str] = ...) -> None: ...

class TakeUnfilledResponse(_message.Message):
    __slots__ = ("texts", "reused", "next_page_token")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    REUSED_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedCompositeFieldContainer[_collection_space_pb2.UnfilledText]
    reused: int
    next_page_token: str
    def __init__(self, texts: _Optional[_Iterable[_Union[_collection_space_pb2.UnfilledText, _Mapping]]] = ..., reused: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PutTextVectorsRequest(_message.Message):
    __slots__ = ("collection", "space", "vectors")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    space: _space_pb2.Space
    vectors: _containers.RepeatedCompositeFieldContainer[_collection_space_pb2.TextVector]
    def __init__(self, collection: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., vectors: _Optional[_Iterable[_Union[_collection_space_pb2.TextVector, _Mapping]]] = ...) -> None: ...

class PutTextVectorsResponse(_message.Message):
    __slots__ = ("chunks",)
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    chunks: int
    def __init__(self, chunks: _Optional[int] = ...) -> None: ...

class EndFillTurnRequest(_message.Message):
    __slots__ = ("collection", "owner", "complete", "reason", "message", "rest", "backend")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REST_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    collection: str
    owner: str
    complete: bool
    reason: str
    message: str
    rest: _duration_pb2.Duration
    backend: _backend_pb2.BackendChoice
    def __init__(self, collection: _Optional[str] = ..., owner: _Optional[str] = ..., complete: _Optional[bool] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., rest: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., backend: _Optional[_Union[_backend_pb2.BackendChoice, _Mapping]] = ...) -> None: ...

class EndFillTurnResponse(_message.Message):
    __slots__ = ("collection_space", "missing_chunks")
    COLLECTION_SPACE_FIELD_NUMBER: _ClassVar[int]
    MISSING_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    collection_space: _collection_space_pb2.CollectionSpace
    missing_chunks: int
    def __init__(self, collection_space: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ..., missing_chunks: _Optional[int] = ...) -> None: ...

class MoveSearchesRequest(_message.Message):
    __slots__ = ("collection", "moving")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    MOVING_FIELD_NUMBER: _ClassVar[int]
    collection: str
    moving: bool
    def __init__(self, collection: _Optional[str] = ..., moving: _Optional[bool] = ...) -> None: ...

class MoveSearchesResponse(_message.Message):
    __slots__ = ("collection_space",)
    COLLECTION_SPACE_FIELD_NUMBER: _ClassVar[int]
    collection_space: _collection_space_pb2.CollectionSpace
    def __init__(self, collection_space: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ...) -> None: ...

class FinishFillRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class FinishFillResponse(_message.Message):
    __slots__ = ("collection_space",)
    COLLECTION_SPACE_FIELD_NUMBER: _ClassVar[int]
    collection_space: _collection_space_pb2.CollectionSpace
    def __init__(self, collection_space: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ...) -> None: ...
