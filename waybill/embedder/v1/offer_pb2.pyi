from waybill.common.v1 import cost_pb2 as _cost_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbeddingOffer(_message.Message):
    __slots__ = ("vendor", "model", "batch_model", "kind", "request_texts", "request_tokens")
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BATCH_MODEL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TEXTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TOKENS_FIELD_NUMBER: _ClassVar[int]
    vendor: str
    model: str
    batch_model: str
    kind: _cost_pb2.CostKind
    request_texts: int
    request_tokens: int
    def __init__(self, vendor: _Optional[str] = ..., model: _Optional[str] = ..., batch_model: _Optional[str] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., request_texts: _Optional[int] = ..., request_tokens: _Optional[int] = ...) -> None: ...
