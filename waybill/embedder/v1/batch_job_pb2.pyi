import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BatchJob(_message.Message):
    __slots__ = ("name", "state", "vendor_status", "requests")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[BatchJob.State]
        STATE_RUNNING: _ClassVar[BatchJob.State]
        STATE_CANCELLING: _ClassVar[BatchJob.State]
        STATE_ENDED: _ClassVar[BatchJob.State]
    STATE_UNSPECIFIED: BatchJob.State
    STATE_RUNNING: BatchJob.State
    STATE_CANCELLING: BatchJob.State
    STATE_ENDED: BatchJob.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VENDOR_STATUS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    name: BatchJobName
    state: BatchJob.State
    vendor_status: str
    requests: int
    def __init__(self, name: _Optional[_Union[BatchJobName, _Mapping]] = ..., state: _Optional[_Union[BatchJob.State, str]] = ..., vendor_status: _Optional[str] = ..., requests: _Optional[int] = ...) -> None: ...

class BatchJobName(_message.Message):
    __slots__ = ("job_key", "vendor_id", "since")
    JOB_KEY_FIELD_NUMBER: _ClassVar[int]
    VENDOR_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    job_key: str
    vendor_id: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, job_key: _Optional[str] = ..., vendor_id: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BatchTexts(_message.Message):
    __slots__ = ("start_index", "texts")
    START_INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    start_index: int
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, start_index: _Optional[int] = ..., texts: _Optional[_Iterable[str]] = ...) -> None: ...

class BatchOutcome(_message.Message):
    __slots__ = ("vendor_status", "charged", "released", "in_doubt", "code")
    VENDOR_STATUS_FIELD_NUMBER: _ClassVar[int]
    CHARGED_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    IN_DOUBT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    vendor_status: str
    charged: int
    released: int
    in_doubt: int
    code: str
    def __init__(self, vendor_status: _Optional[str] = ..., charged: _Optional[int] = ..., released: _Optional[int] = ..., in_doubt: _Optional[int] = ..., code: _Optional[str] = ...) -> None: ...
