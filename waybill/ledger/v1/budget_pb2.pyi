import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import cost_pb2 as _cost_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Budget(_message.Message):
    __slots__ = ("budget_id", "all_tenants", "collection", "service", "run_id", "kind", "unit", "period", "limit", "thresholds", "create_time", "update_time", "window")
    class Unit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNIT_UNSPECIFIED: _ClassVar[Budget.Unit]
        UNIT_NANO_USD: _ClassVar[Budget.Unit]
        UNIT_REQUESTS: _ClassVar[Budget.Unit]
        UNIT_BYTES: _ClassVar[Budget.Unit]
    UNIT_UNSPECIFIED: Budget.Unit
    UNIT_NANO_USD: Budget.Unit
    UNIT_REQUESTS: Budget.Unit
    UNIT_BYTES: Budget.Unit
    class Period(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PERIOD_UNSPECIFIED: _ClassVar[Budget.Period]
        PERIOD_HOUR: _ClassVar[Budget.Period]
        PERIOD_DAY: _ClassVar[Budget.Period]
        PERIOD_MONTH: _ClassVar[Budget.Period]
        PERIOD_RUN: _ClassVar[Budget.Period]
    PERIOD_UNSPECIFIED: Budget.Period
    PERIOD_HOUR: Budget.Period
    PERIOD_DAY: Budget.Period
    PERIOD_MONTH: Budget.Period
    PERIOD_RUN: Budget.Period
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    ALL_TENANTS_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    all_tenants: bool
    collection: str
    service: str
    run_id: str
    kind: _cost_pb2.CostKind
    unit: Budget.Unit
    period: Budget.Period
    limit: int
    thresholds: _containers.RepeatedScalarFieldContainer[int]
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    window: BudgetWindow
    def __init__(self, budget_id: _Optional[str] = ..., all_tenants: _Optional[bool] = ..., collection: _Optional[str] = ..., service: _Optional[str] = ..., run_id: _Optional[str] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., unit: _Optional[_Union[Budget.Unit, str]] = ..., period: _Optional[_Union[Budget.Period, str]] = ..., limit: _Optional[int] = ..., thresholds: _Optional[_Iterable[int]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window: _Optional[_Union[BudgetWindow, _Mapping]] = ...) -> None: ...

class BudgetWindow(_message.Message):
    __slots__ = ("start_time", "reset_time", "used", "held", "in_doubt", "over_limit")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    RESET_TIME_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    IN_DOUBT_FIELD_NUMBER: _ClassVar[int]
    OVER_LIMIT_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    reset_time: _timestamp_pb2.Timestamp
    used: int
    held: int
    in_doubt: int
    over_limit: bool
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reset_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., used: _Optional[int] = ..., held: _Optional[int] = ..., in_doubt: _Optional[int] = ..., over_limit: _Optional[bool] = ...) -> None: ...

class BudgetChange(_message.Message):
    __slots__ = ("budget_id", "change_time", "changed_by", "subject", "credential_id", "correlation_id", "old_limit", "new_limit", "old_thresholds", "new_thresholds")
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    CHANGED_BY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    OLD_LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEW_LIMIT_FIELD_NUMBER: _ClassVar[int]
    OLD_THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    NEW_THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    change_time: _timestamp_pb2.Timestamp
    changed_by: str
    subject: str
    credential_id: str
    correlation_id: str
    old_limit: int
    new_limit: int
    old_thresholds: _containers.RepeatedScalarFieldContainer[int]
    new_thresholds: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, budget_id: _Optional[str] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., changed_by: _Optional[str] = ..., subject: _Optional[str] = ..., credential_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., old_limit: _Optional[int] = ..., new_limit: _Optional[int] = ..., old_thresholds: _Optional[_Iterable[int]] = ..., new_thresholds: _Optional[_Iterable[int]] = ...) -> None: ...

class BudgetAlert(_message.Message):
    __slots__ = ("budget_id", "threshold", "alert_time", "limit", "window", "deliver_time", "attempts", "last_error", "give_up_time")
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ALERT_TIME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    DELIVER_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    GIVE_UP_TIME_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    threshold: int
    alert_time: _timestamp_pb2.Timestamp
    limit: int
    window: BudgetWindow
    deliver_time: _timestamp_pb2.Timestamp
    attempts: int
    last_error: str
    give_up_time: _timestamp_pb2.Timestamp
    def __init__(self, budget_id: _Optional[str] = ..., threshold: _Optional[int] = ..., alert_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ..., window: _Optional[_Union[BudgetWindow, _Mapping]] = ..., deliver_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., last_error: _Optional[str] = ..., give_up_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
