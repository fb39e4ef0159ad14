"""The batch tier end to end: services and vendor on one clock that tests advance, by hours."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import openai
import pytest

from tests.conftest import open_folder
from tests.pipeline.clock import Clock
from tests.pipeline.test_budgets import of_run
from tests.pipeline.test_kill import check_whole
from tests.pipeline.test_simulated_vendor import check_vectors
from tests.pipeline.workbench import FAULTS, Workbench, simulated, started
from tests.waiting import eventually
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunRequest,
    GetRunRequest,
    RetryRunRequest,
)
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.wire import timestamp
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.vendors.registry import OPENAI

pytestmark = pytest.mark.slow

FULL, HALF = "text-embedding-3-small", "text-embedding-3-small batch"
# Small requests, so that a document of a few chunks is a batch of several lines.
REQUEST_TOKENS = "400"
CHUNKS = 6
# Every place of its own that a batch passes.
POINTS = (
    "orchestrator.step.batch.start",
    "embedder.batch.held",
    "embedder.batch.created",
    "embedder.batch.settled",
)


@pytest.fixture(scope="module")
def batching(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Home]:
    home = Home(open_folder(tmp_path_factory) / "a stack")
    (home.folder / FAULTS).mkdir(parents=True)
    environment = {
        "WAYBILL_FAULTS": str(home.folder / FAULTS),
        "PARSER_BACKEND": "local",
        **clock.environment,
    }
    with started(home, "simulator", OPENAI_REQUEST_TOKENS=REQUEST_TOKENS, **environment):
        yield home


@pytest.fixture
def vendor(batching: Home) -> Iterator[Remote]:
    vendor = simulated(batching, OPENAI)
    yield vendor
    vendor.faults.heal()
    vendor.change("/batches", working_seconds=600)


@pytest.fixture
def bench(batching: Home, vendor: Remote, tmp_path: Path) -> Iterator[Workbench]:
    with Workbench.of(batching, f"t{uuid.uuid4().hex[:12]}", tmp_path) as bench:
        yield bench
        bench.disarm()


class Books:
    """What the vendor charges from now on, beside what the ledger has of a run.

    Attributes:
        charged: Tokens by what was bought, as of the check.
    """

    charged: dict[str, int]

    def __init__(self, vendor: Remote) -> None:
        self._vendor = vendor
        self._before = vendor.invoice.quantities

    def check(self, entries: Sequence[Entry]) -> None:
        """settled ≤ invoice ≤ settled + in doubt, at either price, and nothing is left open."""
        now = self._vendor.invoice.quantities
        self.charged = {item: now.get(item, 0) - self._before.get(item, 0) for item in (FULL, HALF)}
        bought = [entry for entry in entries if entry.operation == "embed"]
        assert Entry.STATE_HELD not in {entry.state for entry in bought}
        for item, charged in self.charged.items():
            settled = tokens(bought, item, Entry.STATE_SETTLED)
            assert settled <= charged <= settled + tokens(bought, item, Entry.STATE_IN_DOUBT)


def tokens(entries: Sequence[Entry], item: str, state: Entry.State) -> int:
    return sum(entry.quantity for entry in entries if (entry.model, entry.state) == (item, state))


def document(bench: Workbench, name: str = "valves.md") -> Path:
    """A document of CHUNKS chunks that no other test has."""
    salt = uuid.uuid4().hex
    sections = [f"# Valve {n}\n\n" + f"Valve {n} of {salt} is oiled at noon. " * 8 for n in range(CHUNKS)]
    return bench.file(name, "\n\n".join(sections).encode())


def sent(bench: Workbench, clock: Clock, hours: float, name: str = "valves.md") -> str:
    """A run that may take so long, and waits for its batch."""
    complete_by = clock.now() + datetime.timedelta(hours=hours)
    run_id = bench.client.ingest(document(bench, name), complete_by=complete_by).run_id
    waits(bench, run_id)
    return run_id


def look(bench: Workbench, run_id: str) -> Run:
    return bench.client.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run


def waits(bench: Workbench, run_id: str) -> None:
    waiting = Run.STATE_WAITING_ON_VENDOR
    eventually(
        lambda: look(bench, run_id).state == waiting and bool(at_vendor(bench, run_id)), "the run waits"
    )


def at_vendor(bench: Workbench, run_id: str) -> list[str]:
    """The vendor's ids of a run's batches."""
    query = (
        "select vendor_id from waybill_runs.batch_jobs where run_id = %s and vendor_id <> '' order by number"
    )
    return [row["vendor_id"] for row in bench.rows(query, run_id)]


def closed(bench: Workbench, run_id: str) -> bool:
    """Whether nothing is left to do about a run's batches, and nobody looks for it."""
    query = (
        "select (select count(*) from waybill_runs.batch_jobs where run_id = %s and state <> 'CLOSED')"
        " + (select count(*) from waybill_runs.waits where run_id = %s) as n"
    )
    return bool(bench.rows(query, run_id, run_id)[0]["n"] == 0)


def advance_until_closed(bench: Workbench, clock: Clock, run_id: str) -> None:
    """Steps the clock until nothing is left to do; a look may be written down after any of the steps."""

    def is_closed() -> bool:
        clock.advance(minutes=5)
        return closed(bench, run_id)

    eventually(is_closed, "the batch is tidied away", pause_seconds=2)


def is_ready(bench: Workbench, vendor: Remote, run_id: str, books: Books) -> Run:
    """The run ends well, with every vector right and paid, and its files are gone from the vendor."""
    run = bench.finish(run_id)
    assert run.state == Run.STATE_READY, run.message
    assert (run.chunks, run.embedded_chunks) == (CHUNKS, CHUNKS)
    check_whole(bench, run_id)
    books.check(bench.entries(run_id))
    check_vectors(bench, vendor)
    check_tidied(bench, vendor, run_id)
    return run


def check_tidied(bench: Workbench, vendor: Remote, run_id: str) -> None:
    """No file with the document's text or vectors is left at the vendor."""
    eventually(lambda: closed(bench, run_id), "the batch is tidied away")
    with openai.OpenAI(base_url=vendor.base_url, api_key=vendor.key, max_retries=0) as client:
        batches = [client.batches.retrieve(vendor_id) for vendor_id in at_vendor(bench, run_id)]
        for batch in batches:
            for file_id in filter(None, (batch.input_file_id, batch.output_file_id, batch.error_file_id)):
                with pytest.raises(openai.NotFoundError):
                    client.files.retrieve(file_id)


def test_a_run_with_time_to_spare_waits_for_half_the_price(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    run_id = sent(bench, clock, hours=26)
    run = look(bench, run_id)
    assert (run.step, run.embedding_tier) == ("batch", Run.EMBEDDING_TIER_BATCH)
    assert run.embedding_tier_reason == "complete_by leaves 25 h 44 min for a batch at half the price"
    held = [entry for entry in bench.entries(run_id) if entry.operation == "embed"]
    assert len(held) == CHUNKS
    assert {(entry.model, entry.state) for entry in held} == {(HALF, Entry.STATE_HELD)}
    assert bench.indexed() == []
    clock.advance(hours=1)
    run = is_ready(bench, vendor, run_id, books)
    assert run.embedding_tier_reason == f"{CHUNKS} of {CHUNKS} chunks came by 1 batch at half the price"
    assert books.charged[FULL] == 0 < books.charged[HALF] == tokens(held, HALF, Entry.STATE_HELD)
    assert run.simulated_nano_usd == sum(e.reported_nano_usd for e in bench.entries(run_id))
    assert run.starts == 1, "a wait is no suspicion"


def test_without_time_to_spare_it_is_synchronous_and_says_why(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    soon = clock.now() + datetime.timedelta(minutes=70)
    run_id = bench.client.ingest(document(bench), complete_by=soon).run_id
    run = is_ready(bench, vendor, run_id, books)
    assert run.embedding_tier == Run.EMBEDDING_TIER_SYNCHRONOUS
    assert run.embedding_tier_reason == "complete_by leaves 0 h 54 min for a batch, which is too little"
    assert books.charged[HALF] == 0 < books.charged[FULL]


def test_what_a_batch_could_not_do_goes_into_another(bench: Workbench, clock: Clock, vendor: Remote) -> None:
    books = Books(vendor)
    vendor.faults.add("O32:n=1")
    run_id = sent(bench, clock, hours=26)
    clock.advance(hours=1)
    eventually(lambda: len(at_vendor(bench, run_id)) == 2, "a second batch is sent")
    waits(bench, run_id)
    clock.advance(hours=1)
    run = is_ready(bench, vendor, run_id, books)
    assert run.embedding_tier_reason == f"{CHUNKS} of {CHUNKS} chunks came by 2 batches at half the price"
    assert books.charged[FULL] == 0
    states = [entry.state for entry in bench.entries(run_id) if entry.operation == "embed"]
    assert (states.count(Entry.STATE_RELEASED), states.count(Entry.STATE_SETTLED)) == (2, CHUNKS)


def test_a_batch_that_takes_too_long_is_cancelled_in_time_and_what_it_did_is_kept(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    vendor.change("/batches", working_seconds=10 * 3600)
    complete_by = clock.now() + datetime.timedelta(hours=5)
    run_id = sent(bench, clock, hours=5)
    clock.advance(hours=4)
    assert look(bench, run_id).state == Run.STATE_WAITING_ON_VENDOR
    clock.advance(minutes=46)
    query = "select count(*) as n from waybill_runs.batch_jobs where run_id = %s and state = 'CANCELLING'"
    eventually(lambda: bench.rows(query, run_id)[0]["n"] == 1, "the batch is cancelled")
    clock.advance(minutes=1)
    run = is_ready(bench, vendor, run_id, books)
    assert clock.now() < complete_by
    charged = books.charged
    # Ten hours' work was cut off after close to five.
    assert 0 < charged[HALF] < charged[FULL]
    assert "the rest at once; the last batch: cancelled" in run.embedding_tier_reason


def test_an_expired_batch_is_charged_for_its_part_and_the_run_is_in_time(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    vendor.faults.add("O33:n=1")
    run_id = sent(bench, clock, hours=30)
    clock.advance(hours=24, seconds=20)
    eventually(lambda: len(at_vendor(bench, run_id)) == 2, "the rest is sent again")
    clock.advance(hours=1)
    is_ready(bench, vendor, run_id, books)
    assert books.charged[FULL] == 0


def test_a_batch_whose_creation_was_never_answered_is_found_and_not_made_twice(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    vendor.faults.add("O31:n=1")
    run_id = sent(bench, clock, hours=26)
    clock.advance(hours=1)
    is_ready(bench, vendor, run_id, books)
    assert len(at_vendor(bench, run_id)) == 1
    assert {e.state for e in bench.entries(run_id)} == {Entry.STATE_SETTLED}


@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_is_killed_while_a_batch_is_made_or_collected_costs_nothing(
    bench: Workbench, clock: Clock, vendor: Remote, point: str
) -> None:
    books = Books(vendor)
    bench.arm(point, "kill")
    run_id = sent(bench, clock, hours=26)
    clock.advance(hours=1)
    is_ready(bench, vendor, run_id, books)
    assert bench.used(point)
    assert len(at_vendor(bench, run_id)) == 1
    assert books.charged[FULL] == 0
    states = {entry.state for entry in bench.entries(run_id) if entry.operation == "embed"}
    assert states == {Entry.STATE_SETTLED}, "a line was made twice, or its end was lost"


def test_an_outage_of_the_vendor_is_sat_out(bench: Workbench, clock: Clock, vendor: Remote) -> None:
    books = Books(vendor)
    run_id = sent(bench, clock, hours=26)
    vendor.faults.add("O01")
    log = bench.home.log("orchestrator")
    before = log.read_text().count("looked at later")
    clock.advance(hours=1)
    eventually(lambda: log.read_text().count("looked at later") > before, "the vendor is asked in vain")
    vendor.faults.heal()
    clock.advance(hours=1)
    is_ready(bench, vendor, run_id, books)


def test_cancelling_a_run_cancels_its_batch_and_settles_what_that_did(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    vendor.change("/batches", working_seconds=10 * 3600)
    run_id = sent(bench, clock, hours=26)
    clock.advance(hours=5)
    bench.client.orchestrator.CancelRun(CancelRunRequest(run_id=run_id))
    (batch_id,) = at_vendor(bench, run_id)
    with openai.OpenAI(base_url=vendor.base_url, api_key=vendor.key, max_retries=0) as client:
        assert client.batches.retrieve(batch_id).status == "cancelling"
    clock.advance(minutes=5)
    check_tidied(bench, vendor, run_id)
    books.check(bench.entries(run_id))
    assert look(bench, run_id).state == Run.STATE_CANCELLED
    assert 0 < books.charged[HALF] == tokens(bench.entries(run_id), HALF, Entry.STATE_SETTLED)
    # And taken up again, it does as it did.
    later = timestamp(clock.now() + datetime.timedelta(hours=26))
    bench.client.orchestrator.RetryRun(RetryRunRequest(run_id=run_id, complete_by=later))
    eventually(lambda: len(at_vendor(bench, run_id)) == 2, "another batch is sent")
    query = "select keep_until from waybill_index.document_versions where run_id = %s"
    assert bench.rows(query, run_id)[0]["keep_until"] > later.ToDatetime(datetime.UTC), "it may be swept"
    clock.advance(hours=11)
    assert bench.finish(run_id).state == Run.STATE_READY


def test_a_run_that_its_stack_slept_through_expires_and_its_batch_is_settled(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    vendor.change("/batches", working_seconds=10 * 3600)
    run_id = sent(bench, clock, hours=5)
    clock.advance(hours=6)
    assert bench.finish(run_id).state == Run.STATE_EXPIRED
    clock.advance(minutes=5)
    check_tidied(bench, vendor, run_id)
    books.check(bench.entries(run_id))
    assert books.charged[HALF] > 0


def test_many_that_wait_keep_nobody_else_waiting(bench: Workbench, clock: Clock, vendor: Remote) -> None:
    waiting = [sent(bench, clock, 26, f"valves-{number}.md") for number in range(12)]
    run = bench.ingest(document(bench, "now.md"))
    assert run.state == Run.STATE_READY, "more wait than there are places to work"
    clock.advance(hours=1)
    assert [bench.finish(run_id).state for run_id in waiting] == [Run.STATE_READY] * 12


def test_an_edit_sends_only_what_is_new_and_says_so(bench: Workbench, clock: Clock, vendor: Remote) -> None:
    path = document(bench)
    assert bench.ingest(path).state == Run.STATE_READY
    books = Books(vendor)
    path.write_bytes(path.read_bytes() + b"\n\n# One more\n\n" + b"A valve that was forgotten. " * 40)
    run_id = bench.client.ingest(path, complete_by=clock.now() + datetime.timedelta(hours=26)).run_id
    waits(bench, run_id)
    clock.advance(hours=1)
    run = bench.finish(run_id)
    assert run.state == Run.STATE_READY
    assert run.embedding_tier_reason == f"1 of {CHUNKS + 1} chunks came by 1 batch at half the price"
    books.check(bench.entries(run_id))
    assert books.charged[FULL] == 0 < books.charged[HALF]


@pytest.mark.parametrize("again", [False, True], ids=["a newer content", "the old content again"])
def test_what_waited_does_not_replace_what_came_later(
    bench: Workbench, clock: Clock, vendor: Remote, again: bool
) -> None:
    path = document(bench)
    assert bench.ingest(path).state == Run.STATE_READY
    first = path.read_bytes()
    path.write_bytes(first + b"\n\n# Old\n\nThis edit waited for its batch.")
    late = bench.client.ingest(path, complete_by=clock.now() + datetime.timedelta(hours=26)).run_id
    waits(bench, late)
    path.write_bytes(first if again else first + b"\n\n# New\n\nThis edit came later.")
    assert bench.ingest(path).state == (Run.STATE_UNCHANGED if again else Run.STATE_READY)
    expected = [row["text"] for row in bench.indexed()]
    clock.advance(hours=1)
    assert bench.finish(late).state == Run.STATE_READY
    assert [row["text"] for row in bench.indexed()] == expected
    assert not any("waited for its batch" in text for text in expected)


def test_a_batch_that_the_vendor_has_lost_is_made_again_and_stays_in_doubt(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    run_id = sent(bench, clock, hours=60)
    vendor.faults.add("404:op=batches.get")
    clock.advance(hours=27)
    eventually(lambda: len(at_vendor(bench, run_id)) == 2, "another batch is sent")
    vendor.faults.heal()
    clock.advance(hours=1)
    run = bench.finish(run_id)
    assert (run.state, run.embedded_chunks) == (Run.STATE_READY, CHUNKS)
    books.check(bench.entries(run_id))
    states = [entry.state for entry in bench.entries(run_id) if entry.operation == "embed"]
    # Half a minute later the vendor would be asked again, and tells of the first one, too.
    assert states.count(Entry.STATE_SETTLED) >= CHUNKS
    assert states.count(Entry.STATE_IN_DOUBT) == 2 * CHUNKS - states.count(Entry.STATE_SETTLED)


@pytest.mark.parametrize("point", ["embedder.batch.held", "embedder.batch.created"])
def test_a_run_that_is_cancelled_while_its_batch_is_made_leaves_none_behind(
    bench: Workbench, clock: Clock, vendor: Remote, point: str
) -> None:
    books = Books(vendor)
    vendor.change("/batches", working_seconds=10 * 3600)
    bench.arm(point, "stick")
    complete_by = clock.now() + datetime.timedelta(hours=26)
    run_id = bench.client.ingest(document(bench), complete_by=complete_by).run_id
    eventually(lambda: bench.used(point), "the batch is being made")
    bench.client.orchestrator.CancelRun(CancelRunRequest(run_id=run_id))
    advance_until_closed(bench, clock, run_id)
    books.check(bench.entries(run_id))
    states = {entry.state for entry in bench.entries(run_id) if entry.operation == "embed"}
    assert states == {Entry.STATE_RELEASED}
    assert books.charged == {FULL: 0, HALF: 0}
    with openai.OpenAI(base_url=vendor.base_url, api_key=vendor.key, max_retries=0) as client:
        made = [
            batch for batch in client.batches.list(limit=5) if (batch.metadata or {})["waybill_run"] == run_id
        ]
        assert [batch.status for batch in made] == ([] if point.endswith("held") else ["cancelled"])


def test_a_batch_that_may_no_longer_be_asked_for_is_left_in_time_and_settled_later(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    run_id = sent(bench, clock, hours=5)
    vendor.faults.add("403:op=batches")
    clock.advance(hours=4, minutes=56)
    run = bench.finish(run_id)
    assert (run.state, run.embedding_tier) == (Run.STATE_READY, Run.EMBEDDING_TIER_SYNCHRONOUS)
    assert run.embedding_tier_reason.endswith("the rest at once; the last batch: left")
    vendor.faults.heal()
    clock.advance(minutes=5)
    check_tidied(bench, vendor, run_id)
    books.check(bench.entries(run_id))
    assert books.charged[FULL] == books.charged[HALF] > 0


def test_a_refused_look_for_a_lost_creation_leaves_the_batch_to_be_ended(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    vendor.faults.add("O31:n=1,403:op=batches.list")
    complete_by = clock.now() + datetime.timedelta(hours=26)
    run = bench.finish(bench.client.ingest(document(bench), complete_by=complete_by).run_id)
    assert run.state == Run.STATE_READY
    assert run.embedding_tier_reason.endswith("the last batch: refused, VENDOR_ACCESS_REFUSED")
    vendor.faults.heal()
    advance_until_closed(bench, clock, run.run_id)
    check_tidied(bench, vendor, run.run_id)
    books.check(bench.entries(run.run_id))


def test_a_batch_that_a_budget_stops_waits_for_it_and_costs_half_once(
    bench: Workbench, clock: Clock, vendor: Remote
) -> None:
    books = Books(vendor)
    complete_by = clock.now() + datetime.timedelta(hours=26)
    run_id = bench.client.ingest(document(bench), complete_by=complete_by, max_nano_usd=1).run_id
    eventually(lambda: look(bench, run_id).state == Run.STATE_BLOCKED_ON_BUDGET, "the run is blocked")
    run = look(bench, run_id)
    assert (run.step, run.reason, run.embedding_tier) == (
        "batch", "BUDGET_EXCEEDED", Run.EMBEDDING_TIER_BATCH
    )  # fmt: skip
    assert at_vendor(bench, run_id) == []
    assert {e.state for e in bench.entries(run_id) if e.operation == "embed"} <= {Entry.STATE_RELEASED}
    bench.client.ledger.SetBudget(of_run(run_id, 10**9))
    waits(bench, run_id)
    clock.advance(hours=1)
    run = is_ready(bench, vendor, run_id, books)
    assert run.embedding_tier_reason == f"{CHUNKS} of {CHUNKS} chunks came by 1 batch at half the price"
    assert books.charged[FULL] == 0 < books.charged[HALF]
    assert books.charged[HALF] == tokens(bench.entries(run_id), HALF, Entry.STATE_SETTLED)


def test_a_plan_of_a_batch_is_its_bill(bench: Workbench, clock: Clock, vendor: Remote) -> None:
    path, complete_by = document(bench), clock.now() + datetime.timedelta(hours=26)
    plan = bench.client.plan(path, complete_by=complete_by)
    line, at_once = plan.lines[0], bench.client.plan(path).lines[0]
    assert (line.batch, line.exact, at_once.batch) == (True, True, False)
    assert line.most_embed_nano_usd == at_once.embed_nano_usd == 2 * line.embed_nano_usd
    run_id = bench.client.ingest(path, complete_by=complete_by, plan=plan.approval).run_id
    waits(bench, run_id)
    clock.advance(hours=1)
    run = bench.finish(run_id)
    assert run.state == Run.STATE_READY, run.message
    bought = [entry for entry in bench.entries(run_id) if entry.operation == "embed"]
    assert {(entry.model, entry.state) for entry in bought} == {(HALF, Entry.STATE_SETTLED)}
    assert sum(entry.reported_nano_usd for entry in bought) == line.embed_nano_usd == run.simulated_nano_usd
