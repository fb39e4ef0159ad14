from waybill.common.v1 import space_pb2 as _space_pb2
from waybill.orchestrator.v1 import space_migration_pb2 as _space_migration_pb2
from waybill.storage.v1 import collection_space_pb2 as _collection_space_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlanMigrationRequest(_message.Message):
    __slots__ = ("collection", "model", "dimension")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    model: str
    dimension: int
    def __init__(self, collection: _Optional[str] = ..., model: _Optional[str] = ..., dimension: _Optional[int] = ...) -> None: ...

class PlanMigrationResponse(_message.Message):
    __slots__ = ("plan", "searched")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SEARCHED_FIELD_NUMBER: _ClassVar[int]
    plan: _space_migration_pb2.FillPlan
    searched: _space_pb2.Space
    def __init__(self, plan: _Optional[_Union[_space_migration_pb2.FillPlan, _Mapping]] = ..., searched: _Optional[_Union[_space_pb2.Space, _Mapping]] = ...) -> None: ...

class StartMigrationRequest(_message.Message):
    __slots__ = ("collection", "space")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    collection: str
    space: _space_pb2.Space
    def __init__(self, collection: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ...) -> None: ...

class StartMigrationResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: _collection_space_pb2.CollectionSpace
    def __init__(self, migration: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ...) -> None: ...

class GetMigrationRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class GetMigrationResponse(_message.Message):
    __slots__ = ("migration", "missing")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    migration: _collection_space_pb2.CollectionSpace
    missing: _space_migration_pb2.FillPlan
    def __init__(self, migration: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ..., missing: _Optional[_Union[_space_migration_pb2.FillPlan, _Mapping]] = ...) -> None: ...

class TrySpacesRequest(_message.Message):
    __slots__ = ("collection", "query", "limit")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    collection: str
    query: str
    limit: int
    def __init__(self, collection: _Optional[str] = ..., query: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class TrySpacesResponse(_message.Message):
    __slots__ = ("searched", "beside")
    SEARCHED_FIELD_NUMBER: _ClassVar[int]
    BESIDE_FIELD_NUMBER: _ClassVar[int]
    searched: _space_migration_pb2.SpaceTrial
    beside: _space_migration_pb2.SpaceTrial
    def __init__(self, searched: _Optional[_Union[_space_migration_pb2.SpaceTrial, _Mapping]] = ..., beside: _Optional[_Union[_space_migration_pb2.SpaceTrial, _Mapping]] = ...) -> None: ...

class SwitchSearchesRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class SwitchSearchesResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: _collection_space_pb2.CollectionSpace
    def __init__(self, migration: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ...) -> None: ...

class RollBackSearchesRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class RollBackSearchesResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: _collection_space_pb2.CollectionSpace
    def __init__(self, migration: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ...) -> None: ...

class FinishMigrationRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class FinishMigrationResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: _collection_space_pb2.CollectionSpace
    def __init__(self, migration: _Optional[_Union[_collection_space_pb2.CollectionSpace, _Mapping]] = ...) -> None: ...
