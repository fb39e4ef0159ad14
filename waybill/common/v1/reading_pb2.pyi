from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Reading(_message.Message):
    __slots__ = ("format", "encoding", "pages", "failed_pages", "cut_pages", "pages_without_text", "plain_pages", "recognised_pages", "left_out", "engine")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    FAILED_PAGES_FIELD_NUMBER: _ClassVar[int]
    CUT_PAGES_FIELD_NUMBER: _ClassVar[int]
    PAGES_WITHOUT_TEXT_FIELD_NUMBER: _ClassVar[int]
    PLAIN_PAGES_FIELD_NUMBER: _ClassVar[int]
    RECOGNISED_PAGES_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    format: str
    encoding: str
    pages: int
    failed_pages: _containers.RepeatedScalarFieldContainer[int]
    cut_pages: _containers.RepeatedScalarFieldContainer[int]
    pages_without_text: _containers.RepeatedScalarFieldContainer[int]
    plain_pages: _containers.RepeatedScalarFieldContainer[int]
    recognised_pages: _containers.RepeatedScalarFieldContainer[int]
    left_out: _containers.RepeatedScalarFieldContainer[str]
    engine: str
    def __init__(self, format: _Optional[str] = ..., encoding: _Optional[str] = ..., pages: _Optional[int] = ..., failed_pages: _Optional[_Iterable[int]] = ..., cut_pages: _Optional[_Iterable[int]] = ..., pages_without_text: _Optional[_Iterable[int]] = ..., plain_pages: _Optional[_Iterable[int]] = ..., recognised_pages: _Optional[_Iterable[int]] = ..., left_out: _Optional[_Iterable[str]] = ..., engine: _Optional[str] = ...) -> None: ...
