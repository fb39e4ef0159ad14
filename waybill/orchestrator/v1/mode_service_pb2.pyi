import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import backend_pb2 as _backend_pb2
from waybill.common.v1 import cost_pb2 as _cost_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ServiceMode(_message.Message):
    __slots__ = ("service", "mode", "source", "since", "set_by", "subject", "credential_id", "choice", "vendor_kind")
    class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SOURCE_UNSPECIFIED: _ClassVar[ServiceMode.Source]
        SOURCE_SETTINGS: _ClassVar[ServiceMode.Source]
        SOURCE_SWITCH: _ClassVar[ServiceMode.Source]
    SOURCE_UNSPECIFIED: ServiceMode.Source
    SOURCE_SETTINGS: ServiceMode.Source
    SOURCE_SWITCH: ServiceMode.Source
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    SET_BY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    VENDOR_KIND_FIELD_NUMBER: _ClassVar[int]
    service: str
    mode: _backend_pb2.Mode
    source: ServiceMode.Source
    since: _timestamp_pb2.Timestamp
    set_by: str
    subject: str
    credential_id: str
    choice: _backend_pb2.BackendChoice
    vendor_kind: _cost_pb2.CostKind
    def __init__(self, service: _Optional[str] = ..., mode: _Optional[_Union[_backend_pb2.Mode, str]] = ..., source: _Optional[_Union[ServiceMode.Source, str]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., set_by: _Optional[str] = ..., subject: _Optional[str] = ..., credential_id: _Optional[str] = ..., choice: _Optional[_Union[_backend_pb2.BackendChoice, _Mapping]] = ..., vendor_kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ...) -> None: ...

class GetModeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModeResponse(_message.Message):
    __slots__ = ("services",)
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[ServiceMode]
    def __init__(self, services: _Optional[_Iterable[_Union[ServiceMode, _Mapping]]] = ...) -> None: ...

class SetModeRequest(_message.Message):
    __slots__ = ("mode", "services", "vendor_kind")
    MODE_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    VENDOR_KIND_FIELD_NUMBER: _ClassVar[int]
    mode: _backend_pb2.Mode
    services: _containers.RepeatedScalarFieldContainer[str]
    vendor_kind: _cost_pb2.CostKind
    def __init__(self, mode: _Optional[_Union[_backend_pb2.Mode, str]] = ..., services: _Optional[_Iterable[str]] = ..., vendor_kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ...) -> None: ...

class SetModeResponse(_message.Message):
    __slots__ = ("services",)
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[ServiceMode]
    def __init__(self, services: _Optional[_Iterable[_Union[ServiceMode, _Mapping]]] = ...) -> None: ...
