from waybill.common.v1 import space_pb2 as _space_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CompareChunksRequest(_message.Message):
    __slots__ = ("collection", "document_key", "space", "sha256")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    collection: str
    document_key: str
    space: _space_pb2.Space
    sha256: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, collection: _Optional[str] = ..., document_key: _Optional[str] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., sha256: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CompareChunksResponse(_message.Message):
    __slots__ = ("embedded", "published_here", "published")
    EMBEDDED_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_HERE_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    embedded: _containers.RepeatedScalarFieldContainer[bool]
    published_here: int
    published: int
    def __init__(self, embedded: _Optional[_Iterable[bool]] = ..., published_here: _Optional[int] = ..., published: _Optional[int] = ...) -> None: ...
