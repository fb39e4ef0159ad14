"""Any order of calls on the ledger: its sums are what its entries add up to, and no hold passes a limit."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.ledger.budgets import Budgets, Wanted
from services.ledger.changing import expire_holds
from services.ledger.entries import Entries, Hold
from services.ledger.prices import Price, PriceTable
from services.ledger.rows import NO_RUN
from tests.conftest import MigratedPostgres
from tests.inprocess import someone
from waybill.runtime.errors import Conflict, Quota
from waybill.runtime.identity import Caller
from waybill.runtime.postgres import Database

BEGIN = datetime.datetime(2026, 10, 30, 22, 0, tzinfo=datetime.UTC)
# 1 nano-USD a token, so that figures are read at a glance; and another price to be corrected by.
PRICES = PriceTable(
    [
        Price("openai", model, unit, nano_usd * 1_000_000, datetime.date(2020, 1, 1), "a test")
        for model, unit, nano_usd in (("m", "token", 1), ("credit", "credit", 1))
    ]
)
COLLECTIONS, SERVICES = ("a", "b"), ("embedder", "parser")
UNITS, PERIODS = ("NANO_USD", "REQUESTS", "BYTES"), ("HOUR", "DAY", "MONTH", "RUN")
TTL_SECONDS = 600
SUMS = ("used", "held", "in_doubt")
TRUTH = """
select state, run_id, collection, service, kind, held_at, expected_nano_usd, size_bytes, window_ids,
    coalesce(reported_nano_usd, 0) as reported, (select coalesce(sum(nano_usd), 0)::bigint
        from waybill_ledger.adjustments a where a.entry_id = entries.entry_id) as adjusted
from waybill_ledger.entries where tenant = %s
"""
WINDOWS = "select * from waybill_ledger.budget_windows where tenant = %s"


def wanted(limit: int, **scope: str) -> Wanted:
    usual = {"collection": "", "service": "", "run_id": NO_RUN, "kind": "REAL", "unit": "NANO_USD"}
    return Wanted(
        **{"all_tenants": False, "period": "DAY", "limit_amount": limit, "thresholds": [80], **usual, **scope}  # type: ignore[arg-type]
    )


def counted(entry: Mapping[str, Any], unit: str) -> tuple[int, int, int]:
    """What an entry counts, told anew from what it is."""
    held = {"NANO_USD": entry["expected_nano_usd"], "REQUESTS": 1, "BYTES": entry["size_bytes"]}[unit]
    used = entry["reported"] if unit == "NANO_USD" else held
    more = entry["adjusted"] if unit == "NANO_USD" else 0
    match entry["state"]:
        case "HELD":
            return more, held, 0
        case "IN_DOUBT":
            return more, 0, held
        case "SETTLED":
            return used + more, 0, 0
    return more, 0, 0


class LedgerMachine(RuleBasedStateMachine):
    """One tenant's entries and budgets, by the ledger's own code on a real database."""

    database: MigratedPostgres

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGIN
        self.tenant = f"t{uuid.uuid4().hex[:12]}"
        self.runs = [str(uuid.uuid4()) for _ in range(2)]
        self.budgets: dict[str, Wanted] = {}
        self.entries: list[str] = []
        self.repeats: list[Callable[[], Awaitable[Any]]] = []
        self.runner = asyncio.Runner()
        self.run(self._open())

    async def _open(self) -> None:
        self.stack = AsyncExitStack()
        opened = await self.stack.enter_async_context(Database.opened(self.database.url("ledger")))
        self.opened = opened
        owner = Database.opened(self.database.owner_url("ledger"), max_size=1)
        self.owner = await self.stack.enter_async_context(owner)
        clock = lambda: self.now  # noqa: E731
        self.ledger = Entries(opened, PRICES, lambda: BEGIN.date(), now=clock)
        self.limits = Budgets(opened, "", clock)

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize(
        limits=st.lists(
            st.tuples(
                st.sampled_from(UNITS),
                st.sampled_from(PERIODS),
                st.sampled_from(("", *COLLECTIONS)),
                st.sampled_from(("", *SERVICES)),
                st.integers(0, 60),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def begin(self, limits: Sequence[tuple[str, str, str, str, int]]) -> None:
        for unit, period, collection, service, limit in limits:
            one = wanted(limit, unit=unit, period=period, collection=collection, service=service)
            self._set(one)

    def _set(self, one: Wanted) -> None:
        row = self.run(self.limits.set(Caller(self.tenant, "c"), one))
        self.budgets[str(row["budget_id"])] = one

    @rule(
        quantity=st.integers(0, 30),
        size=st.integers(0, 30),
        collection=st.sampled_from(COLLECTIONS),
        service=st.sampled_from(SERVICES),
        kind=st.sampled_from(("REAL", "REAL", "SIMULATED")),
        key=st.sampled_from("xyz"),
        run=st.integers(-1, 1),
        owner=st.sampled_from(("o1", "o2")),
    )
    def hold(
        self,
        quantity: int,
        size: int,
        collection: str,
        service: str,
        kind: str,
        key: str,
        run: int,
        owner: str,
    ) -> None:
        who = Caller(self.tenant, "c", "" if run < 0 else self.runs[run], collection=collection)
        asked = Hold(
            str(uuid.uuid4()), f"embed:{key}", kind, service, "embed", "openai", "m", quantity, "token", size,
            TTL_SECONDS, owner, "", "", "",
        )  # fmt: skip
        at = self.now

        async def call() -> Any:
            return await self.ledger.hold(who, asked)

        try:
            row = self.run(call())
        except Quota as refusal:
            note(refusal.message)
            return
        self.entries.append(asked.entry_id)
        self.repeats.append(call)
        for window in self.run(self._windows()):
            if window["window_id"] in row["window_ids"]:
                assert sum(window[name] for name in SUMS) <= window["limit_amount"]
        assert row["held_at"] == at

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), how=st.sampled_from(("settle", "release", "doubt", "write_off", "adjust")))
    def end(self, data: st.DataObject, how: str) -> None:
        entry_id = data.draw(st.sampled_from(self.entries))
        quantity = data.draw(st.integers(0, 80))

        async def call() -> Any:
            match how:
                case "settle":
                    return await self.ledger.settle(self.tenant, entry_id, quantity)
                case "adjust":
                    return await self.ledger.adjust(
                        self.tenant, entry_id, "credit", "credit", quantity, "said"
                    )
                case "write_off":
                    return await self.ledger.write_off(someone(self.tenant), self.tenant, entry_id, how)
            return await getattr(self.ledger, how)(self.tenant, entry_id, how)

        try:
            self.run(call())
        except Conflict:
            return
        before = self.run(self._windows())
        self.run(call())  # at once again, before anything else was said of it
        assert self.run(self._windows()) == before

    @precondition(lambda self: self.repeats)
    @rule(data=st.data())
    def hold_again(self, data: st.DataObject) -> None:
        before = self.run(self._windows())
        self.run(data.draw(st.sampled_from(self.repeats))())
        assert self.run(self._windows()) == before

    @rule(seconds=st.sampled_from((60, 700, 3600, 86_400)))
    def time_passes(self, seconds: int) -> None:
        self.now += datetime.timedelta(seconds=seconds)

    @rule()
    def holds_expire(self) -> None:
        self.run(expire_holds(self.owner, now=self.now))

    @rule(data=st.data(), limit=st.integers(0, 200))
    def change_limit(self, data: st.DataObject, limit: int) -> None:
        # In the order in which they were set: ids are random, and a run must be repeatable.
        one = data.draw(st.sampled_from(list(self.budgets.values())))
        scope = {name: getattr(one, name) for name in ("unit", "period", "collection", "service")}
        self._set(wanted(limit, **scope))

    @invariant()
    def sums_are_what_entries_add_up_to(self) -> None:
        entries, windows = self.run(self._truth()), self.run(self._windows())
        for window in windows:
            counts = [
                counted(one, window["unit"]) for one in entries if window["window_id"] in one["window_ids"]
            ]
            whole = tuple(map(sum, zip(*counts, strict=True))) if counts else (0, 0, 0)
            assert tuple(window[name] for name in SUMS) == whole
        self._check_windows(entries, windows)

    def _check_windows(self, entries: Sequence[Any], windows: Sequence[Any]) -> None:
        """Each entry counts in one window of each budget that applies, that of its own hold."""
        by_id = {window["window_id"]: window for window in windows}
        for entry in entries:
            applying = {budget_id for budget_id, one in self.budgets.items() if self._applies(one, entry)}
            mine = [by_id[window_id] for window_id in entry["window_ids"]]
            assert {str(window["budget_id"]) for window in mine} == applying
            assert len(mine) == len(applying)
            for window in mine:
                period = self.budgets[str(window["budget_id"])].period
                assert window["started_at"] == _start(period, entry["held_at"])
                assert window["run_id"] == (entry["run_id"] if period == "RUN" else None)

    @staticmethod
    def _applies(one: Wanted, entry: Mapping[str, Any]) -> bool:
        return (
            entry["kind"] == "REAL"
            and one.collection in ("", entry["collection"])
            and one.service in ("", entry["service"])
            and (one.unit != "BYTES" or entry["size_bytes"] > 0)
            and (one.period != "RUN" or str(entry["run_id"]) != NO_RUN)
        )

    async def _windows(self) -> Any:
        async with self.opened.transaction(self.tenant) as connection:
            rows = await (await connection.execute(WINDOWS, [self.tenant])).fetchall()
        return sorted(rows, key=lambda row: str(row["window_id"]))

    async def _truth(self) -> Any:
        async with self.opened.transaction(self.tenant) as connection:
            return await (await connection.execute(TRUTH, [self.tenant])).fetchall()


def _start(period: str, at: datetime.datetime) -> datetime.datetime | None:
    hour = at.replace(minute=0, second=0, microsecond=0)
    starts = {"HOUR": hour, "DAY": hour.replace(hour=0), "MONTH": hour.replace(day=1, hour=0), "RUN": None}
    return starts[period]


def test_the_ledger_keeps_its_budgets_whatever_is_called_in_whatever_order(
    database: MigratedPostgres,
) -> None:
    machine = type("Machine", (LedgerMachine,), {"database": database})
    machine.TestCase.settings = settings(  # type: ignore[attr-defined]
        max_examples=25,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # A failure is told as it was found: each step is a transaction, and shrinking takes minutes.
        phases=[Phase.reuse, Phase.generate],
    )
    machine.TestCase().runTest()  # type: ignore[attr-defined]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    ends=st.lists(
        st.tuples(st.sampled_from(("settle", "release", "doubt")), st.integers(0, 3000)),
        min_size=2,
        max_size=6,
    ),
    shuffle=st.randoms(use_true_random=False),
)
def test_the_order_of_settlements_does_not_matter(
    database: MigratedPostgres, ends: Sequence[tuple[str, int]], shuffle: Any
) -> None:
    orders = [list(enumerate(ends)), list(enumerate(ends))]
    shuffle.shuffle(orders[1])
    first, second = (asyncio.run(_sums_after(database, ends, order)) for order in orders)
    assert first == second


async def _sums_after(
    database: MigratedPostgres, ends: Sequence[tuple[str, int]], order: Sequence[tuple[int, tuple[str, int]]]
) -> Sequence[Any]:
    """Holds one entry for each end, then ends them in that order, at two ledgers in turn."""
    who = Caller(f"t{uuid.uuid4().hex[:12]}", "c", str(uuid.uuid4()))
    async with (
        Database.opened(database.url("ledger")) as opened,
        Database.opened(database.url("ledger")) as other,
    ):
        ledgers = [Entries(one, PRICES, lambda: BEGIN.date(), now=lambda: BEGIN) for one in (opened, other)]
        limits = Budgets(opened, "", lambda: BEGIN)
        ids = [(await limits.set(who, wanted(10_000, unit=unit)))["budget_id"] for unit in UNITS]
        held = [str(uuid.uuid4()) for _ in ends]
        for number, entry_id in enumerate(held):
            asked = Hold(
                entry_id, f"embed:{number}", "REAL", "embedder", "embed", "openai", "m", 1000, "token", 7,
                TTL_SECONDS, "o", "", "", "",
            )  # fmt: skip
            await ledgers[0].hold(who, asked)
        for turn, (number, (how, quantity)) in zip(itertools.cycle(ledgers), order, strict=False):
            if how == "settle":
                await turn.settle(who.tenant, held[number], quantity)
            else:
                await getattr(turn, how)(who.tenant, held[number], "said")
        rows = [await limits.get(who, str(one)) for one in ids]
    return [[row[name] for name in SUMS] for row in rows]


@pytest.mark.parametrize("period", ["HOUR", "DAY", "MONTH"])
async def test_a_window_turns_with_the_clock_and_late_settlements_go_to_the_window_of_their_hold(
    database: MigratedPostgres, period: str
) -> None:
    now = datetime.datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC)
    who = Caller(f"t{uuid.uuid4().hex[:12]}", "c")

    def asked() -> Hold:
        return Hold(
            str(uuid.uuid4()), f"embed:{uuid.uuid4()}", "REAL", "embedder", "embed", "openai", "m", 10,
            "token", 0, TTL_SECONDS, "o", "", "", "",
        )  # fmt: skip

    async with Database.opened(database.url("ledger")) as opened:
        entries = Entries(opened, PRICES, lambda: BEGIN.date(), now=lambda: now)
        limits = Budgets(opened, "", lambda: now)
        budget_id = str((await limits.set(who, wanted(10, period=period)))["budget_id"])
        old = await entries.hold(who, asked())
        with pytest.raises(Quota) as refused:
            await entries.hold(who, asked())
        assert refused.value.retry_after_seconds == pytest.approx(1e-6)
        assert refused.value.violations[0].dimensions["resets_at"] == "2027-01-01T00:00:00Z"
        now += datetime.timedelta(microseconds=1)
        await entries.hold(who, asked())
        await entries.settle(who.tenant, str(old["entry_id"]), 9)
        row = await limits.get(who, budget_id)
        assert [row[name] for name in SUMS] == [0, 10, 0]
