from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Chunk(_message.Message):
    __slots__ = ("ordinal", "text", "heading", "page", "start_char", "end_char", "sha256", "token_count", "chunk_id", "lead")
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    HEADING_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    START_CHAR_FIELD_NUMBER: _ClassVar[int]
    END_CHAR_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    TOKEN_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    LEAD_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    text: str
    heading: str
    page: int
    start_char: int
    end_char: int
    sha256: str
    token_count: int
    chunk_id: str
    lead: str
    def __init__(self, ordinal: _Optional[int] = ..., text: _Optional[str] = ..., heading: _Optional[str] = ..., page: _Optional[int] = ..., start_char: _Optional[int] = ..., end_char: _Optional[int] = ..., sha256: _Optional[str] = ..., token_count: _Optional[int] = ..., chunk_id: _Optional[str] = ..., lead: _Optional[str] = ...) -> None: ...

class ChunkVector(_message.Message):
    __slots__ = ("ordinal", "values")
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    values: bytes
    def __init__(self, ordinal: _Optional[int] = ..., values: _Optional[bytes] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("chunk", "collection", "document_key", "document_id", "version_id", "score")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    chunk: Chunk
    collection: str
    document_key: str
    document_id: str
    version_id: str
    score: float
    def __init__(self, chunk: _Optional[_Union[Chunk, _Mapping]] = ..., collection: _Optional[str] = ..., document_key: _Optional[str] = ..., document_id: _Optional[str] = ..., version_id: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("chunks", "vectors")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    chunks: int
    vectors: int
    def __init__(self, chunks: _Optional[int] = ..., vectors: _Optional[int] = ...) -> None: ...
