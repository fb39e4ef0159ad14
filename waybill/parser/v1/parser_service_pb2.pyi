import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from waybill.common.v1 import backend_pb2 as _backend_pb2
from waybill.common.v1 import file_type_pb2 as _file_type_pb2
from waybill.parser.v1 import parse_job_pb2 as _parse_job_pb2
from waybill.parser.v1 import preview_pb2 as _preview_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateParseJobRequest(_message.Message):
    __slots__ = ("source_key", "source_sha256", "filename", "options", "wait", "source_size_bytes", "mode", "lack")
    SOURCE_KEY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    LACK_FIELD_NUMBER: _ClassVar[int]
    source_key: str
    source_sha256: str
    filename: str
    options: _parse_job_pb2.ParseOptions
    wait: _duration_pb2.Duration
    source_size_bytes: int
    mode: _backend_pb2.Mode
    lack: str
    def __init__(self, source_key: _Optional[str] = ..., source_sha256: _Optional[str] = ..., filename: _Optional[str] = ..., options: _Optional[_Union[_parse_job_pb2.ParseOptions, _Mapping]] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., source_size_bytes: _Optional[int] = ..., mode: _Optional[_Union[_backend_pb2.Mode, str]] = ..., lack: _Optional[str] = ...) -> None: ...

class CreateParseJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _parse_job_pb2.ParseJob
    def __init__(self, job: _Optional[_Union[_parse_job_pb2.ParseJob, _Mapping]] = ...) -> None: ...

class GetParseJobRequest(_message.Message):
    __slots__ = ("job_id", "wait", "mode")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    wait: _duration_pb2.Duration
    mode: _backend_pb2.Mode
    def __init__(self, job_id: _Optional[str] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., mode: _Optional[_Union[_backend_pb2.Mode, str]] = ...) -> None: ...

class GetParseJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _parse_job_pb2.ParseJob
    def __init__(self, job: _Optional[_Union[_parse_job_pb2.ParseJob, _Mapping]] = ...) -> None: ...

class WatchParseJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class WatchParseJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _parse_job_pb2.ParseJob
    def __init__(self, job: _Optional[_Union[_parse_job_pb2.ParseJob, _Mapping]] = ...) -> None: ...

class CancelParseJobRequest(_message.Message):
    __slots__ = ("job_id", "run_id")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    run_id: str
    def __init__(self, job_id: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class CancelParseJobResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_parse_job_pb2.ParseJob]
    def __init__(self, jobs: _Optional[_Iterable[_Union[_parse_job_pb2.ParseJob, _Mapping]]] = ...) -> None: ...

class DeleteParseJobsRequest(_message.Message):
    __slots__ = ("source_sha256",)
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    source_sha256: str
    def __init__(self, source_sha256: _Optional[str] = ...) -> None: ...

class DeleteParseJobsResponse(_message.Message):
    __slots__ = ("jobs", "results")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    jobs: int
    results: int
    def __init__(self, jobs: _Optional[int] = ..., results: _Optional[int] = ...) -> None: ...

class ListFileTypesRequest(_message.Message):
    __slots__ = ("mode",)
    MODE_FIELD_NUMBER: _ClassVar[int]
    mode: _backend_pb2.Mode
    def __init__(self, mode: _Optional[_Union[_backend_pb2.Mode, str]] = ...) -> None: ...

class ListFileTypesResponse(_message.Message):
    __slots__ = ("file_types", "any_text")
    FILE_TYPES_FIELD_NUMBER: _ClassVar[int]
    ANY_TEXT_FIELD_NUMBER: _ClassVar[int]
    file_types: _containers.RepeatedCompositeFieldContainer[_file_type_pb2.FileType]
    any_text: bool
    def __init__(self, file_types: _Optional[_Iterable[_Union[_file_type_pb2.FileType, _Mapping]]] = ..., any_text: _Optional[bool] = ...) -> None: ...
