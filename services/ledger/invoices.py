"""Invoices: what vendors say they charged, line by line, and what of the ledger each line is about.

A line names an entry, by our id or the vendor's, or it is the sum of a day. Rows of entries stay as they are,
but for `invoiced_nano_usd`; what an invoice changes is appended by `applying`.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg.types.json import Jsonb

from services.ledger.prices import PriceTable
from services.ledger.rows import Row
from waybill.runtime.clock import utc_today
from waybill.runtime.errors import InvalidRequest, NotFound, Precondition, Quota
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Connection, Database
from waybill.runtime.semconv import LOCAL

MOST_LINES = 100_000
# What entries count in; a quantity of anything else would be held against another unit's.
UNITS = ("page", "token", "byte")
T = TypeVar("T")

INSERT = """
insert into waybill_ledger.invoices (sha256, name, vendor, kind)
values (%(sha256)s, %(name)s, %(vendor)s, %(kind)s)
on conflict (sha256, vendor, kind) do nothing returning *
"""
FIND_FILE = """
select * from waybill_ledger.invoices
where sha256 = %(sha256)s and vendor = %(vendor)s and kind = %(kind)s
"""
FIND = "select * from waybill_ledger.invoices where invoice_id = %(invoice_id)s"
# No COPY: Postgres has none for tables with policies. All lines at once: one by one, a hundred thousand take
# most of a minute.
INSERT_LINES = """
insert into waybill_ledger.invoice_lines (
    invoice_id, line, entry_id, vendor_reference, day, models, unit, quantity, requests, nano_usd)
select %(invoice_id)s, * from jsonb_to_recordset(%(lines)s) as lines(
    line int, entry_id uuid, vendor_reference text, day date, models text[], unit text, quantity bigint,
    requests bigint, nano_usd bigint)
"""
# Else the planner takes a new invoice for one without lines, and walks all of them once for each of them.
ANALYZE = "analyze waybill_ledger.invoice_lines"
# What a line charges for an entry: a quantity without money is priced as the entry was.
CHARGED = """
coalesce(l.nano_usd, ceil(l.quantity::numeric * e.price_nano_usd_per_million / 1000000)::bigint)
"""
# Lines and the entries that they name; in two halves, of which each walks an index.
MATCHED = f"""
matched as (
    select l.*, e.entry_id as matched_id, {CHARGED} as charged
    from waybill_ledger.invoice_lines l join waybill_ledger.entries e on e.entry_id = l.entry_id
    where l.invoice_id = %(invoice_id)s and e.vendor = %(vendor)s and e.kind = %(kind)s
    union all
    select l.*, e.entry_id, {CHARGED}
    from waybill_ledger.invoice_lines l join waybill_ledger.entries e
        on e.vendor = %(vendor)s and e.vendor_reference = l.vendor_reference and e.vendor_reference <> ''
    where l.invoice_id = %(invoice_id)s and l.entry_id is null and l.vendor_reference <> ''
        and e.kind = %(kind)s
)
"""  # noqa: S608  (constants only)
# A file that is read again speaks only for entries that no invoice has named yet: a later one may know more.
MARK = f"""
with {MATCHED}, summed as (
    select matched_id, greatest(sum(charged), 0)::bigint as invoiced from matched group by matched_id
)
update waybill_ledger.entries e set invoiced_nano_usd = summed.invoiced
from summed where e.entry_id = summed.matched_id and e.invoiced_nano_usd is distinct from summed.invoiced
    and (%(new)s or e.invoiced_nano_usd is null)
"""  # noqa: S608  (constants only)
SUMMARY = f"""
with {MATCHED}
select i.*, (select count(*) from matched) as matched_lines, count(l.line) as lines,
    min(l.day) as first_day, max(l.day) as last_day
from waybill_ledger.invoices i left join waybill_ledger.invoice_lines l using (invoice_id)
where i.invoice_id = %(invoice_id)s group by i.invoice_id
"""  # noqa: S608  (constants only)


@dataclass(frozen=True)
class File:
    """What a file is; see ImportInvoiceRequest.Header in the contract."""

    sha256: str
    name: str
    vendor: str
    kind: str


@dataclass(frozen=True)
class Line:
    """A line; see InvoiceLine in the contract. None is what it does not say."""

    line: int
    entry_id: str | None
    vendor_reference: str
    day: datetime.date | None
    models: Sequence[str]
    unit: str
    quantity: int | None
    requests: int | None
    nano_usd: int | None
    price_model: str

    @property
    def names_an_entry(self) -> bool:
        """Whether it is no sum."""
        return bool(self.entry_id or self.vendor_reference)


class Invoices:
    """All invoices.

    Args:
        owner: Every tenant: for the operator alone.
        prices: Of units that a vendor counts in.
        operator: The tenant whose callers may read and bring them; empty is nobody.
    """

    def __init__(self, owner: Database, prices: PriceTable, operator: str) -> None:
        self._owner = owner
        self._prices = prices
        self._operator = operator

    def check(self, who: Caller) -> None:
        """Raises Precondition OPERATOR_REQUIRED."""
        if who.tenant != self._operator:
            raise Precondition(
                "OPERATOR_REQUIRED",
                "An invoice has every tenant's spending: it is the operator's. Call as the tenant that "
                "WAYBILL_OPERATOR_TENANT names.",
            )

    async def read(self, reading: Callable[[Connection], Awaitable[T]]) -> T:
        """Reads what every tenant has, all of one moment."""
        async with self._owner.transaction(None, snapshot=True) as connection:
            return await reading(connection)

    async def bring(self, file: File, lines: Sequence[Line]) -> tuple[Row, bool]:
        """Writes an invoice down, once for each file; answers it, and whether it is new.

        Raises:
            InvalidRequest: INVOICE_LINE_INVALID.
            Quota: TOO_MANY_LINES.
            Precondition: PRICE_UNKNOWN.
        """
        if len(lines) > MOST_LINES:
            raise Quota("TOO_MANY_LINES", f"An invoice has at most {MOST_LINES:,} lines. Split the file.")
        if file.vendor not in self._prices.vendors:
            known = ", ".join(sorted(self._prices.vendors - {LOCAL}))
            raise InvalidRequest(
                "INVALID_REQUEST",
                f"{file.vendor[:40]!r} sells nothing here. A vendor is one of: {known}.",
            )
        if len({line.names_an_entry for line in lines}) > 1:
            other = next(line for line in lines if line.names_an_entry != lines[0].names_an_entry)
            raise _invalid(other, "is a sum where others name entries, or the other way round")
        rows = [self._row(file, line) for line in lines]
        async with self._owner.transaction(None) as connection:
            invoice = await (await connection.execute(INSERT, vars(file))).fetchone()
            new = invoice is not None
            if invoice is None:
                invoice = await (await connection.execute(FIND_FILE, vars(file))).fetchone()
                assert invoice is not None  # it is never deleted
            elif rows:
                values = {"invoice_id": invoice["invoice_id"], "lines": Jsonb(rows)}
                await connection.execute(INSERT_LINES, values)
                await connection.execute(ANALYZE)
            await connection.execute(MARK, {**invoice, "new": new})
            return await summary(connection, invoice), new

    def _row(self, file: File, line: Line) -> Mapping[str, Any]:
        if not line.names_an_entry and line.day is None:
            raise _invalid(line, "names neither an entry, nor the vendor's id of one, nor a day")
        if line.quantity is None and line.nano_usd is None:
            raise _invalid(line, "says neither a quantity nor an amount")
        nano_usd, unit, quantity = line.nano_usd, line.unit, line.quantity
        if line.price_model and quantity is not None:
            day = line.day or utc_today()
            price = self._prices.find(file.vendor, line.price_model, unit, day)
            nano_usd = price.cost_nano_usd(quantity) if nano_usd is None else nano_usd
            # Not what entries count in.
            unit, quantity = "", None
        elif quantity is not None and not unit:
            raise _invalid(line, "has a quantity without its unit")
        elif quantity is not None and unit not in UNITS:
            raise _invalid(line, f"counts in {unit[:40]!r}, not in page, token or byte; say its usd instead")
        return {
            "line": line.line, "entry_id": line.entry_id, "vendor_reference": line.vendor_reference,
            "day": line.day and line.day.isoformat(), "models": list(line.models), "unit": unit,
            "quantity": quantity, "requests": line.requests, "nano_usd": nano_usd,
        }  # fmt: skip


async def find(connection: Connection, invoice_id: str) -> Row:
    """An invoice. Raises NotFound INVOICE_NOT_FOUND."""
    row = await (await connection.execute(FIND, {"invoice_id": invoice_id})).fetchone()
    if row is None:
        raise NotFound("INVOICE_NOT_FOUND", "There is no invoice of this id. ImportInvoice gives it.")
    return await summary(connection, row)


async def summary(connection: Connection, invoice: Mapping[str, Any]) -> Row:
    """An invoice with how much of it there is."""
    row = await (await connection.execute(SUMMARY, invoice)).fetchone()
    assert row is not None  # it was found in this transaction
    return row


def _invalid(line: Line, what: str) -> InvalidRequest:
    return InvalidRequest("INVOICE_LINE_INVALID", f"Line {line.line} {what}. Mend the file.")
