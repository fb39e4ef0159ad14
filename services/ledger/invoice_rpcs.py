"""The RPCs of invoices: request → invoices → response."""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from services.ledger.applying import Applying
from services.ledger.audit import AuditLog
from services.ledger.budget_rpcs import as_uuid
from services.ledger.comparing import compared
from services.ledger.drift import Difference
from services.ledger.invoices import MOST_LINES, File, Invoices, Line
from services.ledger.prices import PriceTable
from services.ledger.rows import Row
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import invoice_pb2, ledger_service_pb2_grpc
from waybill.runtime import identity
from waybill.runtime.audit import Event
from waybill.runtime.errors import InvalidRequest, Quota
from waybill.runtime.wire import timestamp

AT_ONCE, MOST_NAME = 1_000, 200


class InvoiceRpcs(ledger_service_pb2_grpc.LedgerServiceServicer):
    """What of the ledger's RPCs is about invoices."""

    _invoices: Invoices
    _applying: Applying
    _prices: PriceTable
    _audit: AuditLog

    async def ImportInvoice(self, requests: Any, context: Any) -> Any:
        """Reads an invoice."""
        self._invoices.check(identity.caller())
        first = await anext(requests, None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidRequest("INVALID_REQUEST", "The first message is the header.")
        file = read_file(first.header)
        lines: list[Line] = []
        async for request in requests:
            if request.WhichOneof("part") != "lines":
                raise InvalidRequest("INVALID_REQUEST", "Every message but the first holds lines.")
            lines += map(read_line, request.lines.lines)
            if len(lines) > MOST_LINES:
                raise Quota("TOO_MANY_LINES", f"An invoice has at most {MOST_LINES:,} lines. Split the file.")
        row, new = await self._invoices.bring(file, lines)
        if new:
            detail = {"vendor": file.vendor, "sha256": file.sha256, "lines": str(row["lines"])}
            await self._tell("invoice.import", str(row["invoice_id"]), detail)
        return invoice_pb2.ImportInvoiceResponse(invoice=_invoice(row), known=not new)

    async def ListDrift(
        self, request: invoice_pb2.ListDriftRequest, context: Any
    ) -> AsyncIterator[invoice_pb2.ListDriftResponse]:
        """Tells where an invoice and the ledger differ."""
        self._invoices.check(identity.caller())
        invoice_id = as_uuid("invoice_id", request.invoice_id)
        found = await self._invoices.read(lambda connection: compared(connection, self._prices, invoice_id))
        for start in range(0, len(found), AT_ONCE):
            yield invoice_pb2.ListDriftResponse(drifts=map(_drift, found[start : start + AT_ONCE]))

    async def ApplyInvoice(self, request: invoice_pb2.ApplyInvoiceRequest, context: Any) -> Any:
        """Follows an invoice."""
        self._invoices.check(identity.caller())
        invoice_id = as_uuid("invoice_id", request.invoice_id)
        applied = await self._applying.apply(invoice_id)
        if applied.count:
            counts = ("adjusted", "settled", "released")
            await self._tell("invoice.apply", invoice_id, {one: str(getattr(applied, one)) for one in counts})
        return invoice_pb2.ApplyInvoiceResponse(**vars(applied))

    async def _tell(self, action: str, invoice_id: str, detail: Mapping[str, str]) -> None:
        """What was done is in the audit, the operator's to see."""
        await self._audit.append([Event(identity.caller(), "", action, invoice_id, detail=detail)])


def read_file(header: invoice_pb2.ImportInvoiceRequest.Header) -> File:
    """What a file is. Raises InvalidRequest."""
    if not re.fullmatch("[0-9a-f]{64}", header.sha256):
        raise InvalidRequest("INVALID_REQUEST", "sha256 is that of the file, 64 hex digits.")
    if not header.vendor or header.kind not in (CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED):
        raise InvalidRequest("INVALID_REQUEST", "Name the vendor, and a kind: real or simulated.")
    kind = CostKind.Name(header.kind).removeprefix("COST_KIND_")
    return File(header.sha256, header.name[:MOST_NAME], header.vendor, kind)


def read_line(line: invoice_pb2.InvoiceLine) -> Line:
    """A line. Raises InvalidRequest INVOICE_LINE_INVALID."""
    try:
        day = datetime.date.fromisoformat(line.day) if line.day else None
    except ValueError:
        raise _wrong(line, f"its day is {line.day[:40]!r}, which is none such as 2026-11-27") from None
    try:
        entry_id = str(uuid.UUID(line.entry_id)) if line.entry_id else None
    except ValueError:
        raise _wrong(line, f"its entry_id is {line.entry_id[:40]!r}, which is no UUID") from None
    if min(line.quantity, line.requests) < 0:
        raise _wrong(line, "quantity and requests are at least 0")
    return Line(
        line=line.line,
        entry_id=entry_id,
        vendor_reference=line.vendor_reference,
        day=day,
        models=sorted(line.models),
        unit=line.unit,
        quantity=line.quantity if line.HasField("quantity") else None,
        requests=line.requests if line.HasField("requests") else None,
        nano_usd=line.nano_usd if line.HasField("nano_usd") else None,
        price_model=line.price_model,
    )


def _wrong(line: invoice_pb2.InvoiceLine, what: str) -> InvalidRequest:
    return InvalidRequest("INVOICE_LINE_INVALID", f"Line {line.line}: {what}. Mend the file.")


def _invoice(row: Row) -> invoice_pb2.Invoice:
    return invoice_pb2.Invoice(
        invoice_id=str(row["invoice_id"]),
        kind=f"COST_KIND_{row['kind']}",
        first_day=row["first_day"].isoformat() if row["first_day"] else "",
        last_day=row["last_day"].isoformat() if row["last_day"] else "",
        import_time=timestamp(row["imported_at"]),
        **{name: row[name] for name in ("sha256", "name", "vendor", "lines", "matched_lines")},
    )


def _drift(one: Difference) -> invoice_pb2.Drift:
    same = ("tenant", "run_id", "document_key", "entry_id", "vendor_reference", "line", "entries", "unit",
            "invoiced_quantity", "ledger_quantity", "invoiced_nano_usd", "ledger_nano_usd")  # fmt: skip
    return invoice_pb2.Drift(
        reason=f"REASON_{one.reason}",
        day=one.day.isoformat() if one.day else "",
        model=one.models[0] if one.models else "",
        **{name: getattr(one, name) for name in same},
    )
