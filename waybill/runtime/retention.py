"""Rows that have done their work go after WAYBILL_KEEP_DAYS; which ones, each service says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import LiteralString

import structlog

from waybill.runtime.loops import repeating
from waybill.runtime.postgres import Database

EVERY_SECONDS = 6 * 3_600.0
BATCH_ROWS = 1_000
log = structlog.get_logger()


def pruning(keep_days: int, turn: Callable[[int], Awaitable[object]]) -> AbstractAsyncContextManager[None]:
    """Prunes what is older than so many days, now and from time to time; never where they are 0."""
    return repeating("retention", partial(turn, keep_days), EVERY_SECONDS) if keep_days else nullcontext()


async def prune(
    owner: Database, statements: Sequence[LiteralString], keep_days: int, batch_rows: int = BATCH_ROWS
) -> int:
    """Runs each statement until it finds no more, a small transaction at a time; several replicas may.

    Args:
        owner: Sees every tenant.
        statements: Each deletes %(rows)s rows at most, older than %(days)s.
        keep_days: How long rows stay.
        batch_rows: Of one transaction.

    Returns:
        Rows that are gone.
    """
    gone = 0
    values = {"days": keep_days, "rows": batch_rows}
    for statement in statements:
        rows = batch_rows
        while rows == batch_rows:
            rows = await owner.execute(None, statement, values)
            gone += rows
    if gone:
        log.info("old rows are gone", rows=gone, older_than_days=keep_days)
    return gone
