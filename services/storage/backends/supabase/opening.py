"""Joins the backend's parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.storage.backends.port import MAX_OBJECT_BYTES
from services.storage.backends.supabase import sdk, sweeping
from services.storage.backends.supabase.config import SupabaseConfig
from services.storage.backends.supabase.links import Links
from services.storage.backends.supabase.rows import Rows
from services.storage.backends.supabase.store import GRACE_SECONDS, SupabaseObjects
from services.storage.backends.supabase.sweeping import Sweeper
from waybill.runtime.clock import Now
from waybill.runtime.loops import repeating
from waybill.runtime.postgres import Database
from waybill.vendors.breaker import Breaker
from waybill.vendors.calls import Calls
from waybill.vendors.limiter import Limiter
from waybill.vendors.registry import SUPABASE
from waybill.vendors.retrying import Policy

# Requests under way at a time, for runs and for others; a download counts until it begins.
CONCURRENCY = 16


@dataclass(frozen=True)
class Opened:
    """The backend.

    Attributes:
        store: What the service works with.
        sweeper: Sweeps by itself.
        breaker: Before the vendor.
    """

    store: SupabaseObjects
    sweeper: Sweeper
    breaker: Breaker


@asynccontextmanager
async def opened(
    config: SupabaseConfig,
    database: Database,
    owner: Database,
    clock: Now,
    policy: Policy | None = None,
    grace_seconds: float = GRACE_SECONDS,
    came: sdk.Came = lambda tenant, size_bytes: None,
) -> AsyncIterator[Opened]:
    """The backend over a project; it sweeps until the block is left.

    Args:
        config: Of the project.
        database: One tenant at a time.
        owner: Every tenant.
        clock: For times that callers see.
        policy: How a failed call is repeated.
        grace_seconds: See Rows.
        came: See Supabase.
    """
    calls = Calls(SUPABASE.name, policy)
    limiter = Limiter(SUPABASE.name, CONCURRENCY)
    rows = Rows(database, owner, clock, grace_seconds)
    async with (
        sdk.opened(config, limiter, calls, MAX_OBJECT_BYTES, came) as storage,
        Links.opened(storage, rows, clock) as links,
    ):
        sweeper = Sweeper(storage, rows, links)
        async with repeating("objects sweep", sweeper.turn, sweeping.SECONDS):
            yield Opened(SupabaseObjects(storage, rows, links), sweeper, calls.breaker)
