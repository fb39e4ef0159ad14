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

class Invoice(_message.Message):
    __slots__ = ("invoice_id", "sha256", "name", "vendor", "kind", "lines", "matched_lines", "first_day", "last_day", "import_time")
    INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    MATCHED_LINES_FIELD_NUMBER: _ClassVar[int]
    FIRST_DAY_FIELD_NUMBER: _ClassVar[int]
    LAST_DAY_FIELD_NUMBER: _ClassVar[int]
    IMPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    invoice_id: str
    sha256: str
    name: str
    vendor: str
    kind: _cost_pb2.CostKind
    lines: int
    matched_lines: int
    first_day: str
    last_day: str
    import_time: _timestamp_pb2.Timestamp
    def __init__(self, invoice_id: _Optional[str] = ..., sha256: _Optional[str] = ..., name: _Optional[str] = ..., vendor: _Optional[str] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ..., lines: _Optional[int] = ..., matched_lines: _Optional[int] = ..., first_day: _Optional[str] = ..., last_day: _Optional[str] = ..., import_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class InvoiceLine(_message.Message):
    __slots__ = ("line", "entry_id", "vendor_reference", "day", "models", "unit", "quantity", "requests", "nano_usd", "price_model")
    LINE_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    VENDOR_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NANO_USD_FIELD_NUMBER: _ClassVar[int]
    PRICE_MODEL_FIELD_NUMBER: _ClassVar[int]
    line: int
    entry_id: str
    vendor_reference: str
    day: str
    models: _containers.RepeatedScalarFieldContainer[str]
    unit: str
    quantity: int
    requests: int
    nano_usd: int
    price_model: str
    def __init__(self, line: _Optional[int] = ..., entry_id: _Optional[str] = ..., vendor_reference: _Optional[str] = ..., day: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., unit: _Optional[str] = ..., quantity: _Optional[int] = ..., requests: _Optional[int] = ..., nano_usd: _Optional[int] = ..., price_model: _Optional[str] = ...) -> None: ...

class Drift(_message.Message):
    __slots__ = ("reason", "day", "model", "tenant", "run_id", "document_key", "entry_id", "vendor_reference", "line", "entries", "unit", "invoiced_quantity", "ledger_quantity", "invoiced_nano_usd", "ledger_nano_usd")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[Drift.Reason]
        REASON_IN_DOUBT: _ClassVar[Drift.Reason]
        REASON_WRITTEN_OFF: _ClassVar[Drift.Reason]
        REASON_RELEASED: _ClassVar[Drift.Reason]
        REASON_NOT_IN_LEDGER: _ClassVar[Drift.Reason]
        REASON_NOT_INVOICED: _ClassVar[Drift.Reason]
        REASON_CHARGED_TWICE: _ClassVar[Drift.Reason]
        REASON_PRICE_DIFFERS: _ClassVar[Drift.Reason]
        REASON_QUANTITY_DIFFERS: _ClassVar[Drift.Reason]
        REASON_AMOUNT_DIFFERS: _ClassVar[Drift.Reason]
        REASON_DAY_DIFFERS: _ClassVar[Drift.Reason]
    REASON_UNSPECIFIED: Drift.Reason
    REASON_IN_DOUBT: Drift.Reason
    REASON_WRITTEN_OFF: Drift.Reason
    REASON_RELEASED: Drift.Reason
    REASON_NOT_IN_LEDGER: Drift.Reason
    REASON_NOT_INVOICED: Drift.Reason
    REASON_CHARGED_TWICE: Drift.Reason
    REASON_PRICE_DIFFERS: Drift.Reason
    REASON_QUANTITY_DIFFERS: Drift.Reason
    REASON_AMOUNT_DIFFERS: Drift.Reason
    REASON_DAY_DIFFERS: Drift.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_KEY_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    VENDOR_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    INVOICED_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    LEDGER_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    INVOICED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    LEDGER_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    reason: Drift.Reason
    day: str
    model: str
    tenant: str
    run_id: str
    document_key: str
    entry_id: str
    vendor_reference: str
    line: int
    entries: int
    unit: str
    invoiced_quantity: int
    ledger_quantity: int
    invoiced_nano_usd: int
    ledger_nano_usd: int
    def __init__(self, reason: _Optional[_Union[Drift.Reason, str]] = ..., day: _Optional[str] = ..., model: _Optional[str] = ..., tenant: _Optional[str] = ..., run_id: _Optional[str] = ..., document_key: _Optional[str] = ..., entry_id: _Optional[str] = ..., vendor_reference: _Optional[str] = ..., line: _Optional[int] = ..., entries: _Optional[int] = ..., unit: _Optional[str] = ..., invoiced_quantity: _Optional[int] = ..., ledger_quantity: _Optional[int] = ..., invoiced_nano_usd: _Optional[int] = ..., ledger_nano_usd: _Optional[int] = ...) -> None: ...

class ImportInvoiceRequest(_message.Message):
    __slots__ = ("header", "lines")
    class Header(_message.Message):
        __slots__ = ("sha256", "name", "vendor", "kind")
        SHA256_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        VENDOR_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        sha256: str
        name: str
        vendor: str
        kind: _cost_pb2.CostKind
        def __init__(self, sha256: _Optional[str] = ..., name: _Optional[str] = ..., vendor: _Optional[str] = ..., kind: _Optional[_Union[_cost_pb2.CostKind, str]] = ...) -> None: ...
    class Lines(_message.Message):
        __slots__ = ("lines",)
        LINES_FIELD_NUMBER: _ClassVar[int]
        lines: _containers.RepeatedCompositeFieldContainer[InvoiceLine]
        def __init__(self, lines: _Optional[_Iterable[_Union[InvoiceLine, _Mapping]]] = ...) -> None: ...
    HEADER_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    header: ImportInvoiceRequest.Header
    lines: ImportInvoiceRequest.Lines
    def __init__(self, header: _Optional[_Union[ImportInvoiceRequest.Header, _Mapping]] = ..., lines: _Optional[_Union[ImportInvoiceRequest.Lines, _Mapping]] = ...) -> None: ...

class ImportInvoiceResponse(_message.Message):
    __slots__ = ("invoice", "known")
    INVOICE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    invoice: Invoice
    known: bool
    def __init__(self, invoice: _Optional[_Union[Invoice, _Mapping]] = ..., known: _Optional[bool] = ...) -> None: ...

class ListDriftRequest(_message.Message):
    __slots__ = ("invoice_id",)
    INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    invoice_id: str
    def __init__(self, invoice_id: _Optional[str] = ...) -> None: ...

class ListDriftResponse(_message.Message):
    __slots__ = ("drifts",)
    DRIFTS_FIELD_NUMBER: _ClassVar[int]
    drifts: _containers.RepeatedCompositeFieldContainer[Drift]
    def __init__(self, drifts: _Optional[_Iterable[_Union[Drift, _Mapping]]] = ...) -> None: ...

class ApplyInvoiceRequest(_message.Message):
    __slots__ = ("invoice_id",)
    INVOICE_ID_FIELD_NUMBER: _ClassVar[int]
    invoice_id: str
    def __init__(self, invoice_id: _Optional[str] = ...) -> None: ...

class ApplyInvoiceResponse(_message.Message):
    __slots__ = ("adjusted", "settled", "released", "more")
    ADJUSTED_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    adjusted: int
    settled: int
    released: int
    more: bool
    def __init__(self, adjusted: _Optional[int] = ..., settled: _Optional[int] = ..., released: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...
