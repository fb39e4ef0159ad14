import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import cost_pb2 as _cost_pb2
from waybill.ledger.v1 import asking_pb2 as _asking_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Entry(_message.Message):
    __slots__ = ("entry_id", "run_id", "correlation_id", "spend_key", "attempt", "state", "kind", "service", "operation", "vendor", "model", "quantity", "unit", "price_nano_usd_per_million", "expected_nano_usd", "reported_nano_usd", "invoiced_nano_usd", "hold_time", "end_time", "expire_time", "owner", "end_reason", "span", "adjusted_nano_usd", "collection", "document_key", "size_bytes", "would_cost", "asking", "vendor_reference")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Entry.State]
        STATE_HELD: _ClassVar[Entry.State]
        STATE_SETTLED: _ClassVar[Entry.State]
        STATE_RELEASED: _ClassVar[Entry.State]
        STATE_IN_DOUBT: _ClassVar[Entry.State]
        STATE_WRITTEN_OFF: _ClassVar[Entry.State]
    STATE_UNSPECIFIED: Entry.State
    STATE_HELD: Entry.State
    STATE_SETTLED: Entry.State
    STATE_RELEASED: Entry.State
    STATE_IN_DOUBT: Entry.State
    STATE_WRITTEN_OFF: Entry.State
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    SPEND_KEY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    PRICE_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    REPORTED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    INVOICED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    HOLD_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    WOULD_COST_FIELD_NUMBER: _ClassVar[int]
    ASKING_FIELD_NUMBER: _ClassVar[int]
    VENDOR_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    run_id: str
    correlation_id: str
    spend_key: str
    attempt: int
    state: Entry.State
    kind: _cost_pb2.CostKind
    service: str
    operation: str
    vendor: str
    model: str
    quantity: int
    unit: str
    price_nano_usd_per_million: int
    expected_nano_usd: int
    reported_nano_usd: int
    invoiced_nano_usd: int
    hold_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    owner: str
    end_reason: str
    span: SpanLink
    adjusted_nano_usd: int
    collection: str
    document_key: str
    size_bytes: int
    would_cost: WouldCost
    asking: _asking_pb2.Asking
    vendor_reference: str
    def __init__(self, entry_id: _Optional[str] = ..., run_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., spend_key: _Optional[str] = ..., attempt: _Optional[int] = ..., state: _Optional[_Union[Entry.State, str]] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., service: _Optional[str] = ..., operation: _Optional[str] = ..., vendor: _Optional[str] = ..., model: _Optional[str] = ..., quantity: _Optional[int] = ..., unit: _Optional[str] = ..., price_nano_usd_per_million: _Optional[int] = ..., expected_nano_usd: _Optional[int] = ..., reported_nano_usd: _Optional[int] = ..., invoiced_nano_usd: _Optional[int] = ..., hold_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., owner: _Optional[str] = ..., end_reason: _Optional[str] = ..., span: _Optional[_Union[SpanLink, _Mapping]] = ..., adjusted_nano_usd: _Optional[int] = ..., collection: _Optional[str] = ..., document_key: _Optional[str] = ..., size_bytes: _Optional[int] = ..., would_cost: _Optional[_Union[WouldCost, _Mapping]] = ..., asking: _Optional[_Union[_asking_pb2.Asking, _Mapping]] = ..., vendor_reference: _Optional[str] = ...) -> None: ...

class WouldCost(_message.Message):
    __slots__ = ("vendor", "model", "price_nano_usd_per_million", "price_date", "nano_usd")
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PRICE_NANO_USD_PER_MILLION_FIELD_NUMBER: _ClassVar[int]
    PRICE_DATE_FIELD_NUMBER: _ClassVar[int]
    NANO_USD_FIELD_NUMBER: _ClassVar[int]
    vendor: str
    model: str
    price_nano_usd_per_million: int
    price_date: str
    nano_usd: int
    def __init__(self, vendor: _Optional[str] = ..., model: _Optional[str] = ..., price_nano_usd_per_million: _Optional[int] = ..., price_date: _Optional[str] = ..., nano_usd: _Optional[int] = ...) -> None: ...

class SpanLink(_message.Message):
    __slots__ = ("trace_id", "parent_span_id", "step_span_id")
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    trace_id: str
    parent_span_id: str
    step_span_id: str
    def __init__(self, trace_id: _Optional[str] = ..., parent_span_id: _Optional[str] = ..., step_span_id: _Optional[str] = ...) -> None: ...

class RunTotal(_message.Message):
    __slots__ = ("run_id", "cost_nano_usd", "simulated_nano_usd", "uncertain_nano_usd", "uncertain_simulated_nano_usd")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_SIMULATED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    cost_nano_usd: int
    simulated_nano_usd: int
    uncertain_nano_usd: int
    uncertain_simulated_nano_usd: int
    def __init__(self, run_id: _Optional[str] = ..., cost_nano_usd: _Optional[int] = ..., simulated_nano_usd: _Optional[int] = ..., uncertain_nano_usd: _Optional[int] = ..., uncertain_simulated_nano_usd: _Optional[int] = ...) -> None: ...
