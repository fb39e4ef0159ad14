import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import backend_pb2 as _backend_pb2
from waybill.common.v1 import cost_pb2 as _cost_pb2
from waybill.common.v1 import reading_pb2 as _reading_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ParseJob(_message.Message):
    __slots__ = ("job_id", "state", "source_key", "source_sha256", "options", "result_key", "page_count", "reason", "message", "backend", "cost_kind", "create_time", "end_time", "reading", "vendor_job_id", "look_at", "expected_page_count", "pages_done", "blocked_on", "choice", "run_id", "waits_for")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[ParseJob.State]
        STATE_QUEUED: _ClassVar[ParseJob.State]
        STATE_RUNNING: _ClassVar[ParseJob.State]
        STATE_SUCCEEDED: _ClassVar[ParseJob.State]
        STATE_FAILED: _ClassVar[ParseJob.State]
        STATE_CANCELLED: _ClassVar[ParseJob.State]
    STATE_UNSPECIFIED: ParseJob.State
    STATE_QUEUED: ParseJob.State
    STATE_RUNNING: ParseJob.State
    STATE_SUCCEEDED: ParseJob.State
    STATE_FAILED: ParseJob.State
    STATE_CANCELLED: ParseJob.State
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KEY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    RESULT_KEY_FIELD_NUMBER: _ClassVar[int]
    PAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    COST_KIND_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    READING_FIELD_NUMBER: _ClassVar[int]
    VENDOR_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    LOOK_AT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_PAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PAGES_DONE_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_ON_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    state: ParseJob.State
    source_key: str
    source_sha256: str
    options: ParseOptions
    result_key: str
    page_count: int
    reason: str
    message: str
    backend: str
    cost_kind: _cost_pb2.CostKind
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    reading: _reading_pb2.Reading
    vendor_job_id: str
    look_at: _timestamp_pb2.Timestamp
    expected_page_count: int
    pages_done: int
    blocked_on: str
    choice: _backend_pb2.BackendChoice
    run_id: str
    waits_for: str
    def __init__(self, job_id: _Optional[str] = ..., state: _Optional[_Union[ParseJob.State, str]] = ..., source_key: _Optional[str] = ..., source_sha256: _Optional[str] = ..., options: _Optional[_Union[ParseOptions, _Mapping]] = ..., result_key: _Optional[str] = ..., page_count: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., backend: _Optional[str] = ..., cost_kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reading: _Optional[_Union[_reading_pb2.Reading, _Mapping]] = ..., vendor_job_id: _Optional[str] = ..., look_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expected_page_count: _Optional[int] = ..., pages_done: _Optional[int] = ..., blocked_on: _Optional[str] = ..., choice: _Optional[_Union[_backend_pb2.BackendChoice, _Mapping]] = ..., run_id: _Optional[str] = ..., waits_for: _Optional[str] = ...) -> None: ...

class ParseOptions(_message.Message):
    __slots__ = ("tier",)
    TIER_FIELD_NUMBER: _ClassVar[int]
    tier: str
    def __init__(self, tier: _Optional[str] = ...) -> None: ...
