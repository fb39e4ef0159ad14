import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import space_pb2 as _space_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CollectionSpace(_message.Message):
    __slots__ = ("collection", "space", "other", "state", "moving", "reason", "message", "run_id", "correlation_id", "subject", "credential_id", "create_time", "change_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[CollectionSpace.State]
        STATE_FILLING: _ClassVar[CollectionSpace.State]
        STATE_FILLED: _ClassVar[CollectionSpace.State]
        STATE_SWITCHED: _ClassVar[CollectionSpace.State]
        STATE_ROLLED_BACK: _ClassVar[CollectionSpace.State]
        STATE_DONE: _ClassVar[CollectionSpace.State]
    STATE_UNSPECIFIED: CollectionSpace.State
    STATE_FILLING: CollectionSpace.State
    STATE_FILLED: CollectionSpace.State
    STATE_SWITCHED: CollectionSpace.State
    STATE_ROLLED_BACK: CollectionSpace.State
    STATE_DONE: CollectionSpace.State
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MOVING_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    collection: str
    space: _space_pb2.Space
    other: _space_pb2.Space
    state: CollectionSpace.State
    moving: bool
    reason: str
    message: str
    run_id: str
    correlation_id: str
    subject: str
    credential_id: str
    create_time: _timestamp_pb2.Timestamp
    change_time: _timestamp_pb2.Timestamp
    def __init__(self, collection: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., other: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., state: _Optional[_Union[CollectionSpace.State, str]] = ..., moving: _Optional[bool] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., run_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., subject: _Optional[str] = ..., credential_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SpaceMeasure(_message.Message):
    __slots__ = ("documents", "chunks", "missing_chunks", "texts_to_embed", "tokens_to_embed")
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    MISSING_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_TO_EMBED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_TO_EMBED_FIELD_NUMBER: _ClassVar[int]
    documents: int
    chunks: int
    missing_chunks: int
    texts_to_embed: int
    tokens_to_embed: int
    def __init__(self, documents: _Optional[int] = ..., chunks: _Optional[int] = ..., missing_chunks: _Optional[int] = ..., texts_to_embed: _Optional[int] = ..., tokens_to_embed: _Optional[int] = ...) -> None: ...

class UnfilledText(_message.Message):
    __slots__ = ("sha256", "text", "token_count")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    text: str
    token_count: int
    def __init__(self, sha256: _Optional[str] = ..., text: _Optional[str] = ..., token_count: _Optional[int] = ...) -> None: ...

class TextVector(_message.Message):
    __slots__ = ("sha256", "values")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    values: bytes
    def __init__(self, sha256: _Optional[str] = ..., values: _Optional[bytes] = ...) -> None: ...
