"""Egress: every byte that a paid store sends is on the bill once, and keeps nobody waiting."""

from __future__ import annotations

import datetime
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import grpc
import pytest

from services.ledger.__main__ import build as ledger_build
from services.ledger.changing import expire_holds
from services.ledger.config import LedgerConfig
from services.storage.__main__ import build as storage_build
from services.storage.config import StorageConfig
from services.storage.egress import Egress
from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import ledger, no_run, refused
from tests.contract.makers_objects import Project, simulated
from tests.contract.makers_storage import messages
from tests.inprocess import channel, served, server_config
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.egress_pb2 import AccrueEgressRequest
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import (
    GetBudgetRequest,
    ListEntriesRequest,
    SetBudgetRequest,
)
from waybill.runtime import identity
from waybill.runtime.clock import utc_today
from waybill.runtime.errors import ServiceError
from waybill.runtime.postgres import Database
from waybill.storage.v1.object_storage_service_pb2 import GetObjectRequest
from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceStub

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

REAL, SIMULATED = CostKind.COST_KIND_REAL, CostKind.COST_KIND_SIMULATED
DAY = datetime.timedelta(days=1)
# Of a gigabyte: 0.09 USD.
PER_BYTE = 90_000_000 / 10**9


def sent(size_bytes: int, **more: object) -> AccrueEgressRequest:
    fields = {"counter_id": str(uuid.uuid4()), "day": str(utc_today()), "kind": REAL, "vendor": "supabase"}
    return AccrueEgressRequest(size_bytes=size_bytes, **(fields | more))  # type: ignore[arg-type]


async def entries_of(stub: LedgerServiceAsyncStub) -> list[Entry]:
    listed = (await stub.ListEntries(ListEntriesRequest())).entries
    return [entry for entry in listed if entry.operation == "egress"]


async def test_a_day_is_one_entry_whose_quantity_is_what_each_process_counted_last(
    database: MigratedPostgres,
) -> None:
    counters, today = [str(uuid.uuid4()) for _ in range(3)], str(utc_today())
    told = [(counter, size) for counter in counters for size in (10**6, 5 * 10**9, 7 * 10**9 + 1)]
    told += random.Random(3).choices(told, k=20)
    random.Random(4).shuffle(told)
    async with ledger(database) as one, ledger(database) as other:
        with identity.acting_as(no_run()):
            for number, (counter, size) in enumerate(told):
                await (one, other)[number % 2].AccrueEgress(sent(size, counter_id=counter, day=today))
            (entry,) = await entries_of(one)
            again = (await other.AccrueEgress(sent(1, counter_id=counters[0], day=today))).entry
        with identity.acting_as(no_run()):
            assert await entries_of(one) == []
    whole = 3 * (7 * 10**9 + 1)
    assert (entry.quantity, entry.unit, entry.state) == (whole, "byte", Entry.STATE_HELD)
    assert entry.expected_nano_usd == -(-whole * 90_000 // 10**6)
    assert (entry.service, entry.vendor, entry.spend_key) == ("storage", "supabase", f"egress:{today}")
    assert (again.entry_id, again.quantity) == (entry.entry_id, whole)


async def test_real_and_simulated_bytes_and_each_day_have_entries_of_their_own(
    database: MigratedPostgres,
) -> None:
    days = (utc_today() - DAY, utc_today())
    async with ledger(database) as stub:
        with identity.acting_as(no_run()):
            for kind in (REAL, SIMULATED):
                for day in days:
                    await stub.AccrueEgress(sent(1_000, kind=kind, day=str(day)))
            found = await entries_of(stub)
    assert len(found) == 4
    told = {(entry.kind, str(entry.hold_time.ToDatetime().date())) for entry in found}
    assert told == {(kind, str(day)) for kind in (REAL, SIMULATED) for day in days}


async def test_after_its_day_it_is_settled_and_what_is_told_later_corrects_it(
    database: MigratedPostgres,
) -> None:
    counter, day = str(uuid.uuid4()), str(utc_today() - 3 * DAY)
    async with ledger(database) as stub, Database.opened(database.owner_url("ledger")) as owner:
        with identity.acting_as(no_run()):
            await stub.AccrueEgress(sent(10**9, counter_id=counter, day=day))
            await expire_holds(owner)
            (entry,) = await entries_of(stub)
            assert (entry.state, entry.reported_nano_usd) == (Entry.STATE_SETTLED, 90_000_000)
            for size in (3 * 10**9, 10**9, 3 * 10**9):
                await stub.AccrueEgress(sent(size, counter_id=counter, day=day))
            (entry,) = await entries_of(stub)
    assert (entry.reported_nano_usd, entry.adjusted_nano_usd) == (90_000_000, 180_000_000)


async def test_it_counts_in_a_budget_of_money_and_is_never_refused(database: MigratedPostgres) -> None:
    wanted = [
        Budget(kind=REAL, unit=Budget.UNIT_NANO_USD, period=Budget.PERIOD_DAY, limit=100),
        Budget(kind=REAL, unit=Budget.UNIT_REQUESTS, period=Budget.PERIOD_DAY, limit=0),
        Budget(kind=REAL, unit=Budget.UNIT_NANO_USD, period=Budget.PERIOD_HOUR, limit=0),
        Budget(kind=REAL, unit=Budget.UNIT_NANO_USD, period=Budget.PERIOD_MONTH, limit=1, service="storage"),
        Budget(kind=REAL, unit=Budget.UNIT_NANO_USD, period=Budget.PERIOD_DAY, limit=0, service="parser"),
    ]
    async with ledger(database) as stub, Database.opened(database.owner_url("ledger")) as owner:
        with identity.acting_as(no_run()):
            ids = [(await stub.SetBudget(SetBudgetRequest(budget=one))).budget.budget_id for one in wanted]
            counter = str(uuid.uuid4())
            for size in (10**9, 2 * 10**9):
                await stub.AccrueEgress(sent(size, counter_id=counter))
            read = [(await stub.GetBudget(GetBudgetRequest(budget_id=one))).budget.window for one in ids]
            assert [window.held for window in read] == [180_000_000, 0, 0, 180_000_000, 0]
            assert read[0].over_limit
            await expire_holds(owner, now=datetime.datetime.now(datetime.UTC) + 2 * DAY)
            window = (await stub.GetBudget(GetBudgetRequest(budget_id=ids[0]))).budget.window
            assert (window.used, window.held) == (180_000_000, 0)


@pytest.mark.parametrize(
    "wrong", [{"day": "today"}, {"kind": CostKind.COST_KIND_LOCAL}, {"counter_id": "x"}, {"vendor": ""}]
)
async def test_what_says_too_little_is_refused(database: MigratedPostgres, wrong: dict[str, object]) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(no_run()):
            told = await refused(stub.AccrueEgress(sent(1, **wrong)))
            unknown = await refused(stub.AccrueEgress(sent(1, vendor="another")))
    assert told == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert unknown[1] == "PRICE_UNKNOWN"


class Away:
    """A ledger that hears nothing, then one that hears and whose answer is lost, then a good one."""

    def __init__(self, ledger: LedgerServiceAsyncStub) -> None:
        self._ledger = ledger
        self.calls = 0

    async def AccrueEgress(self, request: AccrueEgressRequest, timeout: float) -> object:  # noqa: N802
        self.calls += 1
        if self.calls == 2:
            await self._ledger.AccrueEgress(request, timeout=timeout)
        if self.calls < 3:
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "away"
            )
        return await self._ledger.AccrueEgress(request, timeout=timeout)


async def test_what_the_ledger_does_not_hear_is_told_again_and_counts_once(
    database: MigratedPostgres,
) -> None:
    who, moment = no_run(), [datetime.datetime.now(datetime.UTC)]
    async with ledger(database) as stub:
        away = Away(stub)
        egress = Egress(away, "supabase", REAL, lambda: moment[0])  # type: ignore[arg-type]
        egress.count(who.tenant, 600)
        for _ in range(2):
            with pytest.raises(ServiceError):
                await egress.tell()
        egress.count(who.tenant, 400)
        await egress.tell()
        assert away.calls == 3
        await egress.tell()
        assert away.calls == 3  # nothing has come since
        moment[0] += DAY
        await egress.tell()
        egress.count(who.tenant, 7)
        await egress.tell()
        with identity.acting_as(who):
            assert sorted(entry.quantity for entry in await entries_of(stub)) == [7, 1_000]


@asynccontextmanager
async def stack(
    database: MigratedPostgres, made: Project
) -> AsyncIterator[tuple[LedgerServiceAsyncStub, StorageConfig]]:
    """A ledger, and how to start a storage service that tells it."""
    config = LedgerConfig(server_config("ledger"), database.url("ledger"), database.owner_url("ledger"))
    async with served("ledger", partial(ledger_build, config)) as address, ledger(database) as stub:
        supabase = replace(made.config, kind=SIMULATED)
        urls = database.url("storage"), database.owner_url("storage")
        yield stub, StorageConfig(server_config("storage"), *urls, None, supabase, ledger_address=address)


async def test_a_storage_service_over_supabase_tells_what_it_read_at_the_latest_when_it_drains(
    database: MigratedPostgres,
) -> None:
    who, content = no_run(), b"x" * 300_000
    async with simulated(database) as (_, made), stack(database, made) as (stub, config):
        async with served("storage", partial(storage_build, config)) as address, channel(address) as opened:
            objects = ObjectStorageServiceStub(opened)
            with identity.acting_as(who):
                await objects.PutObject(iter(messages("k", content)))
                for request in (
                    GetObjectRequest(key="k"),
                    GetObjectRequest(key="k", offset_bytes=100_000, limit_bytes=50_000),
                ):
                    async for _ in objects.GetObject(request):
                        pass
        with identity.acting_as(who):
            (entry,) = await entries_of(stub)
    assert (entry.quantity, entry.kind) == (350_000, SIMULATED)
    assert entry.expected_nano_usd == 350_000 * PER_BYTE
