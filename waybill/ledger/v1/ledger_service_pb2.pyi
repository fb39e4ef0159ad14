import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from waybill.common.v1 import access_pb2 as _access_pb2
from waybill.common.v1 import cost_pb2 as _cost_pb2
from waybill.ledger.v1 import audit_pb2 as _audit_pb2
from waybill.ledger.v1 import avoided_pb2 as _avoided_pb2
from waybill.ledger.v1 import budget_pb2 as _budget_pb2
from waybill.ledger.v1 import doubt_pb2 as _doubt_pb2
from waybill.ledger.v1 import egress_pb2 as _egress_pb2
from waybill.ledger.v1 import entry_pb2 as _entry_pb2
from waybill.ledger.v1 import invoice_pb2 as _invoice_pb2
from waybill.ledger.v1 import plan_pb2 as _plan_pb2
from waybill.ledger.v1 import price_pb2 as _price_pb2
from waybill.ledger.v1 import report_pb2 as _report_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HoldRequest(_message.Message):
    __slots__ = ("entry_id", "spend_key", "kind", "service", "operation", "vendor", "model", "quantity", "unit", "ttl", "owner", "span", "size_bytes", "would_buy")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    SPEND_KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    WOULD_BUY_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    spend_key: str
    kind: _cost_pb2.CostKind
    service: str
    operation: str
    vendor: str
    model: str
    quantity: int
    unit: str
    ttl: _duration_pb2.Duration
    owner: str
    span: _entry_pb2.SpanLink
    size_bytes: int
    would_buy: Offer
    def __init__(self, entry_id: _Optional[str] = ..., spend_key: _Optional[str] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., service: _Optional[str] = ..., operation: _Optional[str] = ..., vendor: _Optional[str] = ..., model: _Optional[str] = ..., quantity: _Optional[int] = ..., unit: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., owner: _Optional[str] = ..., span: _Optional[_Union[_entry_pb2.SpanLink, _Mapping]] = ..., size_bytes: _Optional[int] = ..., would_buy: _Optional[_Union[Offer, _Mapping]] = ...) -> None: ...

class Offer(_message.Message):
    __slots__ = ("vendor", "model")
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    vendor: str
    model: str
    def __init__(self, vendor: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class HoldResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _entry_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_entry_pb2.Entry, _Mapping]] = ...) -> None: ...

class SettleRequest(_message.Message):
    __slots__ = ("entry_id", "quantity", "doubt_reason")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    DOUBT_REASON_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    quantity: int
    doubt_reason: str
    def __init__(self, entry_id: _Optional[str] = ..., quantity: _Optional[int] = ..., doubt_reason: _Optional[str] = ...) -> None: ...

class SettleResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _entry_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_entry_pb2.Entry, _Mapping]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("entry_id", "reason")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    reason: str
    def __init__(self, entry_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _entry_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_entry_pb2.Entry, _Mapping]] = ...) -> None: ...

class AdjustRequest(_message.Message):
    __slots__ = ("entry_id", "model", "unit", "quantity", "reason", "vendor_reference")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VENDOR_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    model: str
    unit: str
    quantity: int
    reason: str
    vendor_reference: str
    def __init__(self, entry_id: _Optional[str] = ..., model: _Optional[str] = ..., unit: _Optional[str] = ..., quantity: _Optional[int] = ..., reason: _Optional[str] = ..., vendor_reference: _Optional[str] = ...) -> None: ...

class AdjustResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _entry_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_entry_pb2.Entry, _Mapping]] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("run_ids", "correlation_id", "page_size", "page_token", "in_doubt")
    RUN_IDS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    IN_DOUBT_FIELD_NUMBER: _ClassVar[int]
    run_ids: _containers.RepeatedScalarFieldContainer[str]
    correlation_id: str
    page_size: int
    page_token: str
    in_doubt: bool
    def __init__(self, run_ids: _Optional[_Iterable[str]] = ..., correlation_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., in_doubt: _Optional[bool] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token", "totals")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_entry_pb2.Entry]
    next_page_token: str
    totals: _containers.RepeatedCompositeFieldContainer[_entry_pb2.RunTotal]
    def __init__(self, entries: _Optional[_Iterable[_Union[_entry_pb2.Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., totals: _Optional[_Iterable[_Union[_entry_pb2.RunTotal, _Mapping]]] = ...) -> None: ...

class WriteOffRequest(_message.Message):
    __slots__ = ("entry_id", "reason", "tenant")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    reason: str
    tenant: str
    def __init__(self, entry_id: _Optional[str] = ..., reason: _Optional[str] = ..., tenant: _Optional[str] = ...) -> None: ...

class WriteOffResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: _entry_pb2.Entry
    def __init__(self, entry: _Optional[_Union[_entry_pb2.Entry, _Mapping]] = ...) -> None: ...

class SetBudgetRequest(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: _budget_pb2.Budget
    def __init__(self, budget: _Optional[_Union[_budget_pb2.Budget, _Mapping]] = ...) -> None: ...

class SetBudgetResponse(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: _budget_pb2.Budget
    def __init__(self, budget: _Optional[_Union[_budget_pb2.Budget, _Mapping]] = ...) -> None: ...

class GetBudgetRequest(_message.Message):
    __slots__ = ("budget_id",)
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    def __init__(self, budget_id: _Optional[str] = ...) -> None: ...

class GetBudgetResponse(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: _budget_pb2.Budget
    def __init__(self, budget: _Optional[_Union[_budget_pb2.Budget, _Mapping]] = ...) -> None: ...

class ListBudgetsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "run_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    run_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class ListBudgetsResponse(_message.Message):
    __slots__ = ("budgets", "next_page_token")
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[_budget_pb2.Budget]
    next_page_token: str
    def __init__(self, budgets: _Optional[_Iterable[_Union[_budget_pb2.Budget, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CheckBudgetRequest(_message.Message):
    __slots__ = ("budget_id", "amount", "run_id", "promised")
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PROMISED_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    amount: int
    run_id: str
    promised: int
    def __init__(self, budget_id: _Optional[str] = ..., amount: _Optional[int] = ..., run_id: _Optional[str] = ..., promised: _Optional[int] = ...) -> None: ...

class CheckBudgetResponse(_message.Message):
    __slots__ = ("has_room", "by_run")
    HAS_ROOM_FIELD_NUMBER: _ClassVar[int]
    BY_RUN_FIELD_NUMBER: _ClassVar[int]
    has_room: bool
    by_run: bool
    def __init__(self, has_room: _Optional[bool] = ..., by_run: _Optional[bool] = ...) -> None: ...

class DeleteBudgetRequest(_message.Message):
    __slots__ = ("budget_id",)
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    def __init__(self, budget_id: _Optional[str] = ...) -> None: ...

class DeleteBudgetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListBudgetChangesRequest(_message.Message):
    __slots__ = ("budget_id", "page_size", "page_token")
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    page_size: int
    page_token: str
    def __init__(self, budget_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBudgetChangesResponse(_message.Message):
    __slots__ = ("changes", "next_page_token")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[_budget_pb2.BudgetChange]
    next_page_token: str
    def __init__(self, changes: _Optional[_Iterable[_Union[_budget_pb2.BudgetChange, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListBudgetAlertsRequest(_message.Message):
    __slots__ = ("budget_id", "page_size", "page_token")
    BUDGET_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    budget_id: str
    page_size: int
    page_token: str
    def __init__(self, budget_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBudgetAlertsResponse(_message.Message):
    __slots__ = ("alerts", "next_page_token")
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[_budget_pb2.BudgetAlert]
    next_page_token: str
    def __init__(self, alerts: _Optional[_Iterable[_Union[_budget_pb2.BudgetAlert, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReportRequest(_message.Message):
    __slots__ = ("since", "until", "by", "page_size", "page_token")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    by: _report_pb2.Grouping
    page_size: int
    page_token: str
    def __init__(self, since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., by: _Optional[_Union[_report_pb2.Grouping, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ReportResponse(_message.Message):
    __slots__ = ("lines", "next_page_token", "totals")
    LINES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[_report_pb2.ReportLine]
    next_page_token: str
    totals: _containers.RepeatedCompositeFieldContainer[_report_pb2.ReportTotal]
    def __init__(self, lines: _Optional[_Iterable[_Union[_report_pb2.ReportLine, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., totals: _Optional[_Iterable[_Union[_report_pb2.ReportTotal, _Mapping]]] = ...) -> None: ...

class ListPricesRequest(_message.Message):
    __slots__ = ("day",)
    DAY_FIELD_NUMBER: _ClassVar[int]
    day: str
    def __init__(self, day: _Optional[str] = ...) -> None: ...

class ListPricesResponse(_message.Message):
    __slots__ = ("prices",)
    PRICES_FIELD_NUMBER: _ClassVar[int]
    prices: _containers.RepeatedCompositeFieldContainer[_price_pb2.Price]
    def __init__(self, prices: _Optional[_Iterable[_Union[_price_pb2.Price, _Mapping]]] = ...) -> None: ...
