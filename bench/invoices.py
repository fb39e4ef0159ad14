"""How long an invoice takes that names most entries: to write down, to hold against the ledger, to follow."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg

from services.ledger.alerts import Alerts
from services.ledger.applying import Applying
from services.ledger.comparing import compared
from services.ledger.entries import Entries
from services.ledger.invoice_rpcs import read_line
from services.ledger.invoices import File, Invoices
from services.ledger.prices import PriceTable
from waybill.cli.invoices.reading import MOST_LINES, read
from waybill.runtime.clock import utc_today
from waybill.runtime.postgres import Database

# One of three has another amount than was settled.
LINES = """
select entry_id || ',' || reported_nano_usd + (row_number() over () %% 3 = 0)::int as line
from waybill_ledger.entries where vendor = 'openai' and state = 'SETTLED' limit %(lines)s
"""


def written(admin: psycopg.Connection, path: Path) -> int:
    """Writes the invoice; answers how many lines it has."""
    lines = [line for (line,) in admin.execute(LINES, {"lines": MOST_LINES})]
    path.write_text("\n".join(["entry_id,nano_usd", *lines]))
    return len(lines)


async def measured(
    admin: psycopg.Connection, database: Database, owner: Database
) -> AsyncIterator[tuple[str, int, float]]:
    """What was done, of how many, and the seconds that it took."""
    prices = PriceTable.load()
    invoices = Invoices(owner, prices, "operator")
    applying = Applying(owner, Entries(database, prices, utc_today), prices, Alerts())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "invoice.csv")
        count = written(admin, path)
        began = time.perf_counter()
        sha256, lines = read(path, "openai")
    file = File(sha256, path.name, lines.vendor, "REAL")
    invoice, _ = await invoices.bring(file, list(map(read_line, lines.lines)))
    invoice_id = str(invoice["invoice_id"])
    yield "lines of an invoice read and written down", count, time.perf_counter() - began
    began = time.perf_counter()
    found = await invoices.read(lambda connection: compared(connection, prices, invoice_id))
    yield "differences told", len(found), time.perf_counter() - began
    began, count, more = time.perf_counter(), 0, True
    while more:
        applied = await applying.apply(invoice_id)
        count, more = count + applied.count, applied.more
    yield "corrections appended", count, time.perf_counter() - began
