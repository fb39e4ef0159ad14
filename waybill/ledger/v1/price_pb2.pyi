from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Price(_message.Message):
    __slots__ = ("vendor", "model", "unit", "nano_usd_per_million", "valid_from", "source", "own")
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    vendor: str
    model: str
    unit: str
    nano_usd_per_million: int
    valid_from: str
    source: str
    own: bool
    def __init__(self, vendor: _Optional[str] = ..., model: _Optional[str] = ..., unit: _Optional[str] = ..., nano_usd_per_million: _Optional[int] = ..., valid_from: _Optional[str] = ..., source: _Optional[str] = ..., own: _Optional[bool] = ...) -> None: ...
