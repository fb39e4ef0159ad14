"""Money under seeded schedules of faults, kills, budgets, cancels and retries, over the vendors' invoices."""

from __future__ import annotations

import asyncio
import datetime
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pytest

from services.ledger.entries import Entries
from services.ledger.prices import PriceTable
from tests.pipeline.books import Books, at_once
from tests.pipeline.money_schedules import FAULTS, PROGRAMS, Limit, Schedule, Sent
from tests.pipeline.workbench import SEEDS, Workbench, own_stack, simulated
from tests.waiting import eventually
from waybill.client import FINAL_STATES
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import SetBudgetRequest
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunRequest,
    GetRunRequest,
    RetryRunRequest,
)
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.postgres import Database
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.vendors.registry import LLAMAPARSE, OPENAI

UNLIMITED = 10**15
OF_A_RUN = Limit(Budget.UNIT_NANO_USD, Budget.PERIOD_RUN, "", 0)
SELDOM_SECONDS = 0.25
ATTEMPT_SECONDS = "4"
# Small requests: a document of a few sections is several.
REQUEST_TOKENS = "400"
# A day: enough for a batch.
SPARE = datetime.timedelta(hours=26)
# What a dead process had is taken over now, and what is put off for seconds or minutes comes now.
HASTE = (
    "update waybill_parser.jobs set charge_at = now() where charge_at > now();"
    "update waybill_parser.jobs set leased_until = now() where leased_until > now() + interval '20 s';"
    "update waybill_runs.waits set look_at = now() where look_at > now()"
)
# A charge that is never told is waited for for days.
AGE = """
update waybill_parser.jobs set ended_at = ended_at - interval '9 days'
where charge_at is not null and ended_at between now() - interval '1 day' and now() - interval '20 s'
"""
LAPSE = {
    "parser": "update waybill_parser.jobs set leased_until = now() where leased_until > now()",
    "orchestrator": "update waybill_runs.waits set leased_until = now() where leased_until > now()",
}
# Behind the end of all work: ten minutes, or a day, of a hold whose process is dead.
EXPIRE = "update waybill_ledger.entries set expires_at = now() where state = 'HELD' and expires_at > now()"
UNDER_WAY = """
select (select count(*) from waybill_runs.waits where tenant = %s)
    + (select count(*) from waybill_runs.batch_jobs where tenant = %s and state <> 'CLOSED')
    + (select count(*) from waybill_parser.jobs where tenant = %s
        and (state in ('QUEUED', 'RUNNING') or charge_at is not null)) as n
"""
# At once, where nobody asks in this moment.
ASK = """
update waybill_ledger.entries set ask_at = now()
where state = 'IN_DOUBT' and coalesce(ask_at, 'infinity') > now()
    and coalesce(asked_at, '-infinity') < now() - interval '5 s'
"""
# What a vendor can still tell of.
TELLABLE = """
select count(*) as n from waybill_ledger.entries where tenant = %s and state = 'IN_DOUBT'
    and not unanswerable and (vendor <> 'openai' or model like '%% batch')
"""
RETRIES = 4
# An attempt may take no longer than ATTEMPT_SECONDS.
OF_A_SLOW_MACHINE = {"VENDOR_TIMEOUT"}
# Lines of a batch that are in none of its files.
LOST = {"text-embedding-3-small batch"}


class Event(NamedTuple):
    """Something done to the stack, so many seconds from the beginning."""

    at: float
    what: str
    target: str | int


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with own_stack(
        tmp_path_factory,
        "simulator",
        OPENAI_REQUEST_TOKENS=REQUEST_TOKENS,
        OPENAI_ATTEMPT_SECONDS=ATTEMPT_SECONDS,
        LLAMA_CLOUD_ATTEMPT_SECONDS=ATTEMPT_SECONDS,
    ) as home:
        yield home


@pytest.fixture
def vendors(home: Home) -> Iterator[Mapping[str, Remote]]:
    found = {vendor.name: simulated(home, vendor) for vendor in (OPENAI, LLAMAPARSE)}
    found["llamaparse"].change("/jobs", queued_seconds=0.3, page_seconds=0.1, billed_seconds=0.3)
    found["openai"].change(
        "/batches", validating_seconds=0.3, working_seconds=1, finalizing_seconds=0.3, cancelling_seconds=0.3
    )
    yield found
    for vendor in found.values():
        vendor.faults.heal()


class Play:
    """One schedule on a running stack."""

    def __init__(self, bench: Workbench, vendors: Mapping[str, Remote], schedule: Schedule) -> None:
        self.bench, self.vendors, self.schedule = bench, vendors, schedule
        self.runs: list[str] = []
        self.cancelled: set[str] = set()
        self.blocked: set[str] = set()

    def play(self) -> None:
        """Does all of it, and returns when every run has ended and nothing is under way."""
        for limit in self.schedule.limits:
            self._set(limit, limit.limit)
        for name, faults in self.schedule.faults.items():
            self.vendors[name].faults.add(faults)
        self.runs = [self._ingest(sent) for sent in self.schedule.sent]
        self._events()
        eventually(self._over, "all runs end", pause_seconds=SELDOM_SECONDS)
        for vendor in self.vendors.values():
            vendor.faults.heal()
        self._take_up()
        eventually(self._idle, "nothing is under way", pause_seconds=SELDOM_SECONDS)
        if self._held():
            self.bench.change(EXPIRE)
            eventually(lambda: not self._held(), "what is held expires", pause_seconds=SELDOM_SECONDS)

    def resolve(self, billed: Mapping[str, int]) -> None:
        """Has vendors asked about what is in doubt, and ends the rest as their own journal has it."""
        eventually(self._asked, "the vendors tell what they can", pause_seconds=SELDOM_SECONDS)
        asyncio.run(self._resolve(billed))

    async def _resolve(self, billed: Mapping[str, int]) -> None:
        async with Database.opened(self.bench.database_url("ledger")) as database:
            ledger = Entries(database, PriceTable.load(), lambda: datetime.datetime.now(datetime.UTC).date())
            for entry in filter(at_once, self.entries):
                if entry.state != Entry.STATE_IN_DOUBT:
                    continue
                if tokens := billed.get(entry.entry_id, 0):
                    await ledger.settle(self.bench.tenant, entry.entry_id, tokens)
                else:
                    await ledger.release(self.bench.tenant, entry.entry_id, "not in the journal")

    @property
    def ended(self) -> Sequence[Run]:
        """The runs as they are."""
        return [
            self.bench.client.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run for run_id in self.runs
        ]

    @property
    def entries(self) -> list[Entry]:
        """The tenant's."""
        return [entry for run_id in self.runs for entry in self.bench.entries(run_id)]

    def _ingest(self, sent: Sent) -> str:
        salt = uuid.uuid4().hex
        sections = [f"Valve {n} of {salt} is oiled at noon. " * 8 for n in range(sent.sections)]
        if sent.pages:
            text = "\f".join(["\n\n".join(sections)] * sent.pages)
        else:
            text = "\n\n".join(f"# Valve {n}\n\n{section}" for n, section in enumerate(sections))
        file = self.bench.file(sent.name, text.encode())
        complete_by = datetime.datetime.now(datetime.UTC) + SPARE if sent.batch else None
        return self.bench.client.ingest(file, complete_by=complete_by, max_nano_usd=sent.max_nano_usd).run_id

    def _events(self) -> None:
        schedule, began = self.schedule, 0.0
        events = [
            *(Event(at, "kill", program) for at, program in schedule.kills),
            *(Event(at, "cancel", number) for at, number in schedule.cancels),
            Event(schedule.lifted_after, "lift", ""),
        ]
        for event in sorted(events):
            threading.Event().wait(event.at - began)
            began = event.at
            if event.what == "kill":
                self._kill(str(event.target))
            elif event.what == "cancel":
                self._cancel(self.runs[int(event.target)])
            else:
                self._lift()

    def _kill(self, program: str) -> None:
        eventually(self.bench.all_serving, "what was killed serves again", pause_seconds=SELDOM_SECONDS)
        self.bench.kill(program)
        if program in LAPSE:
            self.bench.change(LAPSE[program])

    def _cancel(self, run_id: str) -> None:
        run = self.bench.client.orchestrator.CancelRun(CancelRunRequest(run_id=run_id)).run
        if run.state == Run.STATE_CANCELLED:
            self.cancelled.add(run_id)

    def _lift(self) -> None:
        """No budget binds from now on."""
        self.blocked = {run.run_id for run in self.ended if run.state == Run.STATE_BLOCKED_ON_BUDGET}
        for limit in self.schedule.limits:
            self._set(limit, UNLIMITED)
        for run_id, sent in zip(self.runs, self.schedule.sent, strict=True):
            if sent.max_nano_usd is not None:
                self._set(OF_A_RUN, UNLIMITED, run_id)

    def _set(self, limit: Limit, amount: int, run_id: str = "") -> None:
        budget = Budget(
            kind=CostKind.COST_KIND_SIMULATED,
            unit=limit.unit,
            period=limit.period,
            service=limit.service,
            limit=amount,
            run_id=run_id,
        )
        self.bench.client.ledger.SetBudget(SetBudgetRequest(budget=budget))

    def _take_up(self) -> None:
        """What failed, and what was cancelled where the schedule says so, is retried at healthy vendors."""
        for _ in range(RETRIES):
            again = [
                run
                for run in self.ended
                if run.state in (Run.STATE_FAILED, Run.STATE_EXPIRED)
                or (run.run_id in self.cancelled and self.schedule.taken_up and run.state != Run.STATE_READY)
            ]
            if not again:
                return
            eventually(self.bench.all_serving, "all serve", pause_seconds=SELDOM_SECONDS)
            for run in again:
                if run.reason == "RETRY_BUDGET_EXCEEDED":
                    self._set(OF_A_RUN, UNLIMITED, run.run_id)
                self.bench.client.orchestrator.RetryRun(RetryRunRequest(run_id=run.run_id))
            eventually(self._over, "what was retried ends", pause_seconds=SELDOM_SECONDS)

    def _over(self) -> bool:
        self.bench.change(HASTE)
        return all(run.state in FINAL_STATES for run in self.ended)

    def _idle(self) -> bool:
        self.bench.change(HASTE)
        self.bench.change(AGE)
        tenant = self.bench.tenant
        return not self.bench.rows(UNDER_WAY, tenant, tenant, tenant)[0]["n"]

    def _asked(self) -> bool:
        self.bench.change(ASK)
        return not self.bench.rows(TELLABLE, self.bench.tenant)[0]["n"]

    def _held(self) -> bool:
        return any(entry.state == Entry.STATE_HELD for entry in self.entries)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_settled_is_invoiced_and_what_is_invoiced_is_settled_or_in_doubt(
    bench: Workbench,
    vendors: Mapping[str, Remote],
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    schedule, books = Schedule.of(seed), Books(bench, vendors)
    play = Play(bench, vendors, schedule)
    play.play()
    runs, entries = play.ended, play.entries
    states = Counter(f"{entry.vendor} {Entry.State.Name(entry.state)}" for entry in entries)
    record_property("entries", dict(states))
    record_property("runs", [Run.State.Name(run.state) for run in runs])
    record_property("blocked", len(play.blocked))
    assert books.broken(entries, runs) == [], schedule
    gone = set() if schedule.taken_up else play.cancelled
    assert {run.run_id: run.reason for run in runs if run.state != Run.STATE_READY} == dict.fromkeys(
        gone, "CANCELLED"
    )
    if not schedule.loses_replies:
        doubts = {entry.end_reason for entry in entries if entry.state == Entry.STATE_IN_DOUBT}
        assert doubts <= OF_A_SLOW_MACHINE, schedule
    play.resolve(books.billed())
    entries = play.entries
    # What is settled is the invoice to the nano-dollar, but for what the vendor itself lost.
    assert books.broken(entries, play.ended) == [], schedule
    left = [entry for entry in entries if entry.state == Entry.STATE_IN_DOUBT]
    assert {entry.model for entry in left} <= LOST, schedule


def test_the_schedules_draw_everything_that_may_go_wrong_and_some_lose_no_reply() -> None:
    drawn = [Schedule.of(seed) for seed in range(300)]
    faults = {
        fault.rpartition(":")[0] for one in drawn for text in one.faults.values() for fault in text.split(",")
    }
    assert faults >= {fault for faults in FAULTS.values() for fault in faults}
    assert {program for one in drawn for _, program in one.kills} == set(PROGRAMS)
    assert {limit.unit for one in drawn for limit in one.limits} == set(Budget.Unit.values()) - {
        Budget.UNIT_UNSPECIFIED
    }
    assert 60 < sum(not one.loses_replies for one in drawn) < 120
    assert sum(bool(one.cancels) for one in drawn) > 50
