from waybill.common.v1 import backend_pb2 as _backend_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
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
    __slots__ = ("chunk", "collection", "document_key", "document_id", "version_id", "score", "parts", "also", "excerpt", "backends", "lacking")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    ALSO_FIELD_NUMBER: _ClassVar[int]
    EXCERPT_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    LACKING_FIELD_NUMBER: _ClassVar[int]
    chunk: Chunk
    collection: str
    document_key: str
    document_id: str
    version_id: str
    score: float
    parts: ScoreParts
    also: _containers.RepeatedCompositeFieldContainer[Place]
    excerpt: Excerpt
    backends: _containers.RepeatedCompositeFieldContainer[_backend_pb2.BackendChoice]
    lacking: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, chunk: _Optional[_Union[Chunk, _Mapping]] = ..., collection: _Optional[str] = ..., document_key: _Optional[str] = ..., document_id: _Optional[str] = ..., version_id: _Optional[str] = ..., score: _Optional[float] = ..., parts: _Optional[_Union[ScoreParts, _Mapping]] = ..., also: _Optional[_Iterable[_Union[Place, _Mapping]]] = ..., excerpt: _Optional[_Union[Excerpt, _Mapping]] = ..., backends: _Optional[_Iterable[_Union[_backend_pb2.BackendChoice, _Mapping]]] = ..., lacking: _Optional[_Iterable[str]] = ...) -> None: ...

class ScoreParts(_message.Message):
    __slots__ = ("words", "cosine", "weight", "matched", "excerpt", "verbatim")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    EXCERPT_FIELD_NUMBER: _ClassVar[int]
    VERBATIM_FIELD_NUMBER: _ClassVar[int]
    words: float
    cosine: float
    weight: float
    matched: _containers.RepeatedCompositeFieldContainer[WordShare]
    excerpt: float
    verbatim: bool
    def __init__(self, words: _Optional[float] = ..., cosine: _Optional[float] = ..., weight: _Optional[float] = ..., matched: _Optional[_Iterable[_Union[WordShare, _Mapping]]] = ..., excerpt: _Optional[float] = ..., verbatim: _Optional[bool] = ...) -> None: ...

class WordShare(_message.Message):
    __slots__ = ("word", "share")
    WORD_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    word: str
    share: float
    def __init__(self, word: _Optional[str] = ..., share: _Optional[float] = ...) -> None: ...

class Place(_message.Message):
    __slots__ = ("document_key", "document_id", "version_id", "ordinal", "page")
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    document_key: str
    document_id: str
    version_id: str
    ordinal: int
    page: int
    def __init__(self, document_key: _Optional[str] = ..., document_id: _Optional[str] = ..., version_id: _Optional[str] = ..., ordinal: _Optional[int] = ..., page: _Optional[int] = ...) -> None: ...

class Excerpt(_message.Message):
    __slots__ = ("text", "start_char", "marks")
    class Mark(_message.Message):
        __slots__ = ("start", "end")
        START_FIELD_NUMBER: _ClassVar[int]
        END_FIELD_NUMBER: _ClassVar[int]
        start: int
        end: int
        def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_CHAR_FIELD_NUMBER: _ClassVar[int]
    MARKS_FIELD_NUMBER: _ClassVar[int]
    text: str
    start_char: int
    marks: _containers.RepeatedCompositeFieldContainer[Excerpt.Mark]
    def __init__(self, text: _Optional[str] = ..., start_char: _Optional[int] = ..., marks: _Optional[_Iterable[_Union[Excerpt.Mark, _Mapping]]] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("chunks", "vectors")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    chunks: int
    vectors: int
    def __init__(self, chunks: _Optional[int] = ..., vectors: _Optional[int] = ...) -> None: ...
