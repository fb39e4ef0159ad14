from waybill.common.v1 import space_pb2 as _space_pb2
from waybill.embedder.v1 import embedding_pb2 as _embedding_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbedRequest(_message.Message):
    __slots__ = ("texts", "space")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    space: _space_pb2.Space
    def __init__(self, texts: _Optional[_Iterable[str]] = ..., space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("space", "embeddings", "usage")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    space: _space_pb2.Space
    embeddings: _containers.RepeatedCompositeFieldContainer[_embedding_pb2.Embedding]
    usage: _embedding_pb2.Usage
    def __init__(self, space: _Optional[_Union[_space_pb2.Space, _Mapping]] = ..., embeddings: _Optional[_Iterable[_Union[_embedding_pb2.Embedding, _Mapping]]] = ..., usage: _Optional[_Union[_embedding_pb2.Usage, _Mapping]] = ...) -> None: ...
