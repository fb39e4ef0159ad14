"""A stack in hybrid mode whose vendors are cut off in the middle of its work, and come back.

The vendors are simulators outside of the stack: they keep their books while nobody reaches them.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests import hostile_pdfs
from tests.conftest import open_folder
from tests.pipeline.books import Books
from tests.pipeline.hybrid import HASTE, QUICK_SECONDS, Hybrid, hybrid_stack, simulators
from tests.pipeline.test_kill import check_whole
from tests.pipeline.test_simulated_parser import LAPSE, closed, made
from tests.pipeline.workbench import SEEDS, Workbench
from tests.soak.outages import Outages
from tests.waiting import eventually
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.vendors.registry import LLAMAPARSE, OPENAI, SUPABASE

pytestmark = pytest.mark.slow

# Each seed takes some ten seconds: without the variable there are two.
FEW = SEEDS if "WAYBILL_KILL_SEEDS" in os.environ else range(1)
# Of `make soak-outages`, which has more: the keys of both are refused in the middle of a publication.
OUTAGES = (9,)
DOCUMENTS, SECTIONS = 4, 3
SLOW_SECONDS = 0.5
SELDOM_SECONDS = 0.5


@pytest.fixture(scope="module")
def vendors() -> Iterator[Mapping[str, Remote]]:
    with simulators() as vendors:
        yield vendors


@pytest.fixture(scope="module")
def stack(vendors: Mapping[str, Remote], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with hybrid_stack(Home(open_folder(tmp_path_factory) / "a stack"), vendors) as home:
        yield home


@pytest.fixture
def hybrid(stack: Home, vendors: Mapping[str, Remote], tmp_path: Path, seed: int) -> Iterator[Hybrid]:
    with Workbench.of(stack, f"t{uuid.uuid4().hex[:12]}", tmp_path) as bench:
        yield Hybrid(bench, vendors, random.Random(seed))
    for vendor in vendors.values():
        vendor.change("/outage", end=True)
        vendor.delay(QUICK_SECONDS)


def text(hybrid: Hybrid, name: str) -> str:
    """A document that only words tell from others, accepted."""
    salt = uuid.uuid4().hex
    sections = [f"# Pump {n}\n\n" + f"Pump {n} of {salt} runs dry at noon. " * 12 for n in range(SECTIONS)]
    return hybrid.bench.client.ingest(hybrid.bench.file(f"{name}.md", "\n\n".join(sections).encode())).run_id


def pdf(hybrid: Hybrid, name: str) -> str:
    """A document that the vendor parses, accepted."""
    pages = hybrid.luck.randint(1, 3)
    content = hostile_pdfs.simple(f"Pump {uuid.uuid4()} runs dry at noon.", pages=pages)
    return hybrid.bench.client.ingest(hybrid.bench.file(f"{name}.pdf", content)).run_id


def without_vectors(hybrid: Hybrid) -> list[str]:
    """Runs whose embedder's vendor was cut off in the middle of them, at their end."""
    openai, luck = hybrid.vendors[OPENAI.name], hybrid.luck
    openai.delay(SLOW_SECONDS)
    # At the last, some document is at a request behind its first.
    seen, strike_at = len(openai.journal), luck.randint(1, 2 * DOCUMENTS)
    runs = [text(hybrid, f"pump-{n}") for n in range(DOCUMENTS)]
    eventually(lambda: hybrid.reached(OPENAI.name, "embeddings", seen, strike_at), "vectors are bought")
    hybrid.cut_off(OPENAI.name)
    runs.append(text(hybrid, "while it is away"))
    ended = [hybrid.bench.finish(run_id) for run_id in runs]
    may_be = {(Run.STATE_READY, ""), (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")}
    assert {(run.state, run.reason) for run in ended} <= may_be, ended
    assert ended[-1].state == Run.STATE_READY_DEGRADED
    return runs


def check_money(hybrid: Hybrid, books: Books, runs: Sequence[str]) -> None:
    """Each attempt is settled for what its vendor's journal says, or in doubt; runs and reports say the same.

    No vendor tells what became of an embedding that was cut off. It stays a doubt, and is no more than that.
    """
    entries, ended = hybrid.entries(runs), [hybrid.run(run_id) for run_id in runs]
    assert books.broken(entries, ended) == []
    for run_id in runs:
        check_whole(hybrid.bench, run_id)


def repeats(entries: Sequence[Entry]) -> int:
    """How many times something was paid for again."""
    settled = [entry.spend_key for entry in entries if entry.state == Entry.STATE_SETTLED]
    return len(settled) - len(set(settled))


@pytest.mark.parametrize("seed", FEW)
def test_documents_are_found_by_words_while_the_embedder_is_away_and_heal_by_themselves(
    hybrid: Hybrid,
) -> None:
    books = Books(hybrid.bench, hybrid.vendors, CostKind.COST_KIND_REAL)
    runs = without_vectors(hybrid)
    ended = [hybrid.run(run_id) for run_id in runs]
    before = [hybrid.chunks(run) for run in ended]
    found = hybrid.search()
    assert {hit.document_key for hit in found.hits} == {run.document_key for run in ended}
    assert found.without_vector
    chunks = sum(run.chunks for run in ended)
    assert found.coverage.chunks == chunks > found.coverage.vectors

    hybrid.back(OPENAI.name)
    eventually(lambda: hybrid.healed(runs), "all are healed", pause_seconds=SELDOM_SECONDS)
    healed = [hybrid.run(run_id) for run_id in runs]
    assert {(run.reason, run.message) for run in healed} == {("", "")}
    # A heal that came too early for its vendor is one more try, and buys nothing.
    assert [run.tries > 1 for run in healed] == [run.state != Run.STATE_READY for run in ended]
    assert [hybrid.chunks(run) for run in healed] == before
    assert repeats(hybrid.entries(runs)) == 0
    check_money(hybrid, books, runs)
    found = hybrid.search()
    assert not found.without_vector
    assert found.coverage.vectors == found.coverage.chunks == chunks


@pytest.mark.parametrize("seed", FEW)
def test_documents_are_read_here_while_the_parser_is_away_and_heal_to_the_vendors_pages(
    hybrid: Hybrid,
) -> None:
    vendor, luck = hybrid.vendors[LLAMAPARSE.name], hybrid.luck
    books, seen, owed = (
        Books(hybrid.bench, hybrid.vendors, CostKind.COST_KIND_REAL),
        len(vendor.journal),
        vendor.invoice.total_nano_usd,
    )
    strike, count = luck.choice(("files.create", "parse.create", "parse.list")), luck.randint(1, DOCUMENTS)
    runs = [pdf(hybrid, f"pump-{n}") for n in range(DOCUMENTS)]
    eventually(lambda: hybrid.reached(LLAMAPARSE.name, strike, seen, count), "parses are under way")
    hybrid.cut_off(LLAMAPARSE.name)
    runs.append(pdf(hybrid, "while it is away"))
    ended = [hybrid.bench.finish(run_id) for run_id in runs]
    may_be = {(Run.STATE_READY, ""), (Run.STATE_READY_DEGRADED, "PARSED_LOCALLY")}
    assert {(run.state, run.reason) for run in ended} <= may_be, ended
    assert ended[-1].state == Run.STATE_READY_DEGRADED
    before = [hybrid.chunks(run) for run in ended]
    assert all(before)

    hybrid.back(LLAMAPARSE.name)

    def all_healed() -> bool:
        hybrid.bench.change(HASTE)
        return hybrid.healed(runs)

    eventually(all_healed, "all are healed", pause_seconds=SELDOM_SECONDS)
    eventually(
        lambda: closed(hybrid.bench, vendor, runs, owed),
        "the books are those of the vendor",
        pause_seconds=SELDOM_SECONDS,
    )
    healed = [hybrid.run(run_id) for run_id in runs]
    assert {(run.reason, run.message) for run in healed} == {("", "")}
    for was, run, ids in zip(ended, healed, before, strict=True):
        if was.state == Run.STATE_READY:
            assert (run.tries, hybrid.chunks(run)) == (1, ids)
        else:
            assert run.tries > 1
            assert set(hybrid.chunks(run)).isdisjoint(ids)
    lines = vendor.journal[seen:]
    assert [line.violation for line in lines if line.violation] == []
    assert sorted(made(lines).values()) == [1] * len(runs)
    assert repeats([e for e in hybrid.entries(runs) if e.vendor == LLAMAPARSE.name]) == 0
    check_money(hybrid, books, runs)


@pytest.mark.parametrize("seed", FEW)
@pytest.mark.parametrize("killed", ["orchestrator", "embedder"])
def test_a_kill_in_the_middle_of_a_heal_leaves_one_heal_and_no_money_paid_twice(
    hybrid: Hybrid, killed: str
) -> None:
    books, vendor = Books(hybrid.bench, hybrid.vendors, CostKind.COST_KIND_REAL), hybrid.vendors[OPENAI.name]
    runs = without_vectors(hybrid)
    ended = [hybrid.run(run_id) for run_id in runs]
    before = [hybrid.chunks(run) for run in ended]
    seen, strike_at = len(vendor.journal), hybrid.luck.randint(1, 3)
    hybrid.back(OPENAI.name)
    eventually(
        lambda: hybrid.reached(OPENAI.name, "embeddings", seen, strike_at),
        "the heal buys vectors",
    )
    hybrid.bench.kill(killed)
    hybrid.bench.change(LAPSE["orchestrator"])
    eventually(lambda: hybrid.healed(runs), "all are healed", pause_seconds=SELDOM_SECONDS)
    eventually(
        lambda: not [e for e in hybrid.entries(runs) if e.state == Entry.STATE_HELD],
        "no attempt is left open",
        pause_seconds=SELDOM_SECONDS,
    )
    healed = [hybrid.run(run_id) for run_id in runs]
    assert {(run.reason, run.message) for run in healed} == {("", "")}
    # A heal that came too early for its vendor is one more try, and buys nothing.
    assert [run.tries > 1 for run in healed] == [run.state != Run.STATE_READY for run in ended]
    assert [hybrid.chunks(run) for run in healed] == before
    check_money(hybrid, books, runs)


@pytest.mark.parametrize("seed", OUTAGES)
def test_what_an_outage_left_heals_to_the_chunks_and_the_bill_of_runs_that_nobody_disturbed(
    stack: Home, vendors: Mapping[str, Remote], tmp_path: Path, seed: int
) -> None:
    with Outages.over(stack, vendors, tmp_path) as outages:
        assert outages.play(seed) == []


@pytest.mark.parametrize("seed", range(1))
@pytest.mark.parametrize("step", ["parse", "chunk", "embed", "publish"])
def test_a_run_that_needs_its_file_waits_for_the_vendor_that_has_it_and_goes_on_by_itself(
    hybrid: Hybrid, step: str
) -> None:
    books = Books(hybrid.bench, hybrid.vendors, CostKind.COST_KIND_REAL)
    point = f"orchestrator.step.{step}.start"
    hybrid.bench.arm(point, "stick")
    run_id = text(hybrid, f"before-{step}")
    eventually(lambda: hybrid.bench.used(point), "the step begins")
    hybrid.cut_off(SUPABASE.name)
    # It begins again in the next process. Where it is a part of the chunk step, that reads the pages again.
    hybrid.bench.kill("orchestrator")
    hybrid.bench.change(LAPSE["orchestrator"])
    enough = {Run.STATE_WAITING_ON_VENDOR} if step in ("parse", "chunk") else {
        Run.STATE_WAITING_ON_VENDOR, Run.STATE_READY
    }  # fmt: skip
    eventually(lambda: hybrid.run(run_id).state in enough, "it waits", pause_seconds=SELDOM_SECONDS)
    hybrid.back(SUPABASE.name)
    eventually(lambda: hybrid.healed([run_id]), "it is ready", pause_seconds=SELDOM_SECONDS)
    run = hybrid.run(run_id)
    assert (run.reason, run.message, run.tries, run.step) == ("", "", 1, "publish")
    # Vectors that a killed process had, and had not written, are bought again; what waits buys nothing twice.
    assert step == "publish" or repeats(hybrid.entries([run_id])) == 0
    check_money(hybrid, books, [run_id])
