"""Plan = bill, to the nano-dollar, over vendors that keep books; what outruns its plan stops and says so."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cli.fakes import make_screen
from tests.office_files import docx, paragraph
from tests.pipeline.test_budgets import blocked
from tests.pipeline.workbench import Workbench, own_stack, simulated
from tests.raw_pdfs import document, shown, stream
from waybill.cli.bills import bills_of_runs
from waybill.cli.ingest import ingest_sources
from waybill.cli.outcome import Outcome
from waybill.cli.planning import Planned, planned
from waybill.cli.receipt import receipt
from waybill.cli.sources import gather
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest, SetBudgetRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import Precondition
from waybill.stack.home import Home
from waybill.vendors.registry import LLAMAPARSE

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"
GOOD = (Run.STATE_READY, Run.STATE_READY_DEGRADED)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    # Several requests a document, so that each is packed and rounded by itself.
    with own_stack(tmp_path_factory, "simulator", OPENAI_REQUEST_TOKENS="900") as home:
        yield home


def pdf(name: str, pages: int) -> bytes:
    return document(
        [stream(shown(f"Report {name}: pump {page} ran dry at noon.", 72, 700)) for page in range(pages)]
    )


def prose(name: str, sections: int) -> str:
    return "\n\n".join(
        f"# Lock {number} of {name}\n\n" + f"The lock {number} of {name} is oiled at noon. " * 25
        for number in range(sections)
    )


def write(folder: Path, name: str, content: bytes | str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def corpus(folder: Path) -> Path:
    """Documents of several kinds, two of them twice, and the examples."""
    shutil.copytree(EXAMPLES, folder / "examples")
    write(folder, "report.pdf", pdf("one", 3))
    write(folder, "copies/report-again.pdf", pdf("one", 3))
    write(folder, "locks.md", prose("locks", 14))
    write(folder, "copies/locks-again.md", prose("locks", 14))
    write(folder, "lane.csv", "lane,boats\n" + "".join(f"{n},{n * 7}\n" for n in range(300)))
    write(folder, "memo.docx", docx("".join(paragraph(f"Gate {n} of the lock is shut.") for n in range(40))))
    return folder


def ingest_as_planned(bench: Workbench, folder: Path) -> list[tuple[Planned, Outcome]]:
    """Plans a folder, agrees, and ingests it."""
    found = gather([folder])
    plans = {one.source: one for one in planned(bench.client, found.sources, "", None)}
    assert not list(bench.client.ledger.ListEntries(ListEntriesRequest(in_doubt=True)).entries)
    outcomes = ingest_sources(bench.client, make_screen(), found, str(uuid.uuid4()), agree_on=lambda _: plans)
    assert {outcome.source for outcome in outcomes} == set(plans)
    return [(plans[outcome.source], outcome) for outcome in outcomes]


def billed(entries: Sequence[Entry], operation: str) -> int:
    return sum(
        entry.reported_nano_usd + entry.adjusted_nano_usd
        for entry in entries
        if entry.operation == operation and entry.state == Entry.STATE_SETTLED
    )


def check(bench: Workbench, plan: Planned, outcome: Outcome) -> None:
    """What the run bought is what its plan says, or not above what an estimate allows."""
    assert plan.plan is not None, plan.error
    assert outcome.run is not None, outcome.error
    assert outcome.run.state in GOOD, outcome.run
    entries, line = bench.entries(outcome.run.run_id), plan.line
    assert {entry.state for entry in entries} <= {Entry.STATE_SETTLED}
    parse, embed = billed(entries, "parse"), billed(entries, "embed")
    if line.exact:
        assert (parse, embed) == (line.parse_nano_usd, line.embed_nano_usd), plan.source
    else:
        assert parse <= line.most_parse_nano_usd
        assert embed <= line.most_embed_nano_usd
    if plan.source.path.suffix == ".pdf":
        assert parse == line.parse_nano_usd


def test_a_folder_costs_what_its_plan_says_with_duplicates_edits_and_what_was_parsed_before(
    bench: Workbench, tmp_path: Path
) -> None:
    folder = corpus(tmp_path / "corpus")
    pairs = ingest_as_planned(bench, folder)
    by_name = {plan.source.path.name: (plan, outcome) for plan, outcome in pairs}
    for plan, outcome in pairs:
        check(bench, plan, outcome)
    exact = {name for name, (plan, _) in by_name.items() if plan.line.exact}
    assert {"locks.md", "lane.csv", "clock-keeper-letter.txt", "locks-again.md"} <= exact
    # The long one was several requests, each rounded by itself.
    _, locks = by_name["locks.md"]
    assert locks.run is not None
    assert len([one for one in bench.entries(locks.run.run_id) if one.operation == "embed"]) > 2
    for copy, first in (("report-again.pdf", "report.pdf"), ("locks-again.md", "locks.md")):
        plan, outcome = by_name[copy]
        assert plan.pays_for_it == by_name[first][0].source
        assert outcome.run is not None
        assert bench.entries(outcome.run.run_id) == []
    check_unchanged_and_edits(bench, folder)
    check_parsed_before(bench, folder)


def check_unchanged_and_edits(bench: Workbench, folder: Path) -> None:
    write(folder, "locks.md", prose("locks", 13) + "\n\n# A lock of another name\n\nIt is new.")
    plans = list(planned(bench.client, gather([folder]).sources, "", None))
    changed = [one for one in plans if one.plan and not one.plan.unchanged]
    assert [one.source.path.name for one in changed] == ["locks.md"]
    [edited] = changed
    assert edited.plan is not None
    assert min(edited.plan.chunks_new, edited.plan.chunks_kept, edited.plan.chunks_removed) > 0
    approval = edited.plan.approval
    run = bench.finish(bench.client.ingest(edited.source.path, document_key="locks.md", plan=approval).run_id)
    check(bench, edited, Outcome(edited.source, run))
    assert run.simulated_nano_usd == approval.simulated_nano_usd > 0


def check_parsed_before(bench: Workbench, folder: Path) -> None:
    """In another collection nothing of it is paid again, and the vendor's own text is known by now."""
    plan = bench.client.plan(folder / "report.pdf", collection="others")
    assert plan.parse_paid
    assert plan.text_known
    assert (plan.chunks_new, plan.lines[0].exact) == (0, True)
    assert plan.approval.simulated_nano_usd == 0
    with bench.as_tenant(f"t{uuid.uuid4().hex[:12]}") as stranger:
        other = stranger.client.plan(folder / "report.pdf", collection="others")
    assert not other.parse_paid
    assert other.chunks_kept == 0
    assert other.lines[0].parse_nano_usd > 0


def test_a_run_that_outruns_its_plan_stops_says_by_how_much_and_goes_on_once_it_may(
    bench: Workbench, home: Home
) -> None:
    """The vendor's text of a page is far longer than our own reading of it."""
    path = bench.file("long.pdf", pdf(uuid.uuid4().hex, 1))
    plan = bench.client.plan(path)
    vendor = simulated(home, LLAMAPARSE)
    vendor.faults.add("F18")
    try:
        run_id = bench.client.ingest(path, plan=plan.approval).run_id
        run = blocked(bench, run_id)
    finally:
        vendor.faults.heal()
    assert run.reason == "BUDGET_EXCEEDED"
    assert "outran its plan" in run.message
    way_on = re.search(
        r"waybill budget set ([0-9.]+)usd/run --run (\S+) --simulated( --tenant \S+)?`", run.message
    )
    assert way_on is not None, run.message
    assert way_on[2] == run_id
    budget = Budget(
        run_id=run_id,
        kind=CostKind.COST_KIND_SIMULATED,
        unit=Budget.UNIT_NANO_USD,
        period=Budget.PERIOD_RUN,
        limit=10 * round(float(way_on[1]) * 10**9),
    )
    bench.client.ledger.SetBudget(SetBudgetRequest(budget=budget))
    done = bench.finish(run_id)
    assert done.state in GOOD
    text = "\n".join(map(str, receipt(bills_of_runs(bench.client, [done]), 80)))
    assert "planned at most ~$" in text
    assert "difference ~$" in text


def test_a_plan_of_long_ago_is_not_approved(bench: Workbench) -> None:
    path = bench.file("old.md", b"# Old\n\nThe lock is old.")
    approval = bench.client.plan(path).approval
    approval.price_day = "2026-01-01"
    with pytest.raises(Precondition) as caught:
        bench.client.ingest(path, plan=approval)
    assert caught.value.reason == "PLAN_OUTDATED"
