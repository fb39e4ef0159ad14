"""What `plan` prints, and how `ingest --plan` asks."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Waybill
from tests.cli.fakes import NASTY, Ledger, Orchestrator, make_run
from tests.cli.test_commands import documented
from tests.cli.test_ingest import make_folder
from waybill.cli.plan import question
from waybill.cli.planning import Planned
from waybill.cli.sources import Source
from waybill.ledger.v1.entry_pb2 import RunTotal
from waybill.ledger.v1.plan_pb2 import Plan
from waybill.orchestrator.v1.plan_pb2 import PlanResponse
from waybill.runtime.errors import InvalidRequest


def test_a_plan_has_a_line_a_document_their_sum_and_the_like_elsewhere(
    waybill: Waybill, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path, "a.md", "b.md")
    (folder / "b.md").write_bytes(b"another content")
    result = waybill("plan", str(folder))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("~$0.00750084") == 2
    assert "~$0.01500168" in result.stdout
    assert "total of 2 documents, prices of 2026-11-27" in result.stdout
    assert "llamaparse fast" in result.stdout


def test_the_most_of_an_estimate_has_a_line_of_its_own(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.plan.lines[0].exact = False
    orchestrator.plan.approval.simulated_nano_usd = 7_501_800
    shown = waybill("plan", str(make_folder(tmp_path, "a.md"))).stdout
    lines = [" ".join(one.split()) for one in shown.splitlines()]
    place = lines.index("at most ~$0.0075018")
    assert lines[place - 1].startswith("total of 1 document")
    assert lines[place - 1].endswith("about ~$0.00750084")


def test_json_has_the_documented_keys(waybill: Waybill, tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "a.md")
    shape, total = map(json.loads, waybill("plan", str(folder), "--json").stdout.splitlines())
    assert list(shape) == documented("plan")
    assert [list(line) for line in shape["lines"]] == [documented("plan line")] * 2
    assert list(total) == documented("plan total")


def test_of_two_files_with_the_same_content_one_pays(waybill: Waybill, tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "a.md", "b.md")
    (folder / "b.md").write_bytes((folder / "a.md").read_bytes())
    first, second, total = map(json.loads, waybill("plan", str(folder), "--json").stdout.splitlines())
    assert (first["paid_by"], second["paid_by"]) == (None, "a.md")
    assert (second["approval"]["simulated_nano_usd"], second["chunks_new"]) == (0, 0)
    assert total["simulated_nano_usd"] == 7_500_840
    assert "b.md: same content as a.md, which pays for both" in waybill("plan", str(folder)).stdout


def test_what_is_refused_is_named_and_the_others_are_planned(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.refusals["a.md"] = InvalidRequest("PDF_IS_BROKEN", f"It is cut short. {NASTY}")
    result = waybill("plan", str(make_folder(tmp_path, "a.md", "b.md")))
    assert result.exit_code == 1
    assert "a.md: PDF_IS_BROKEN: It is cut short." in " ".join(result.stdout.split())
    assert "\x1b" not in result.stdout
    assert "total of 1 document" in result.stdout


def test_ingest_sends_what_was_agreed_to(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    result = waybill("ingest", "--plan", "--yes", str(make_folder(tmp_path, "a.md")))
    assert result.exit_code == 0, result.stderr
    (header,) = orchestrator.headers
    assert header.plan.simulated_nano_usd == 7_500_840
    assert header.plan.price_day == "2026-11-27"


def test_ingest_asks_nobody_where_nobody_is(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    result = waybill("ingest", "--plan", str(make_folder(tmp_path, "a.md")))
    assert result.exit_code == 5
    assert "PLAN_NOT_APPROVED" in result.stderr
    assert "--yes" in result.stderr
    assert not orchestrator.headers


def test_what_is_agreed_to_is_without_the_files_that_are_refused() -> None:
    def made(key: str, refused: InvalidRequest | None = None) -> Planned:
        return Planned(Source(Path(key), key), None if refused else PlanResponse(), refused)

    plans = [made("a.md"), made("b.md"), made("c.pdf", InvalidRequest("PDF_IS_BROKEN", "It is cut short."))]
    assert question(plans) == "1 other cannot be ingested. Ingest 2 documents for $0.00?"
    assert question(plans[:1]) == "Ingest 1 document for $0.00?"


def test_a_bill_says_what_was_planned_and_how_it_differs(
    waybill: Waybill, orchestrator: Orchestrator, ledger: Ledger
) -> None:
    run = make_run(1)
    orchestrator.has(run)
    ledger.totals = [RunTotal(run_id=run.run_id, simulated_nano_usd=6_000_840)]
    ledger.plans = [Plan(run_id=run.run_id, price_day="2026-11-27", simulated_nano_usd=7_500_840)]
    shown = waybill("bill", run.run_id).stdout
    assert "planned at most ~$0.00750084" in shown
    assert "difference ~-$0.0015" in shown
    ledger.plans[0].simulated_nano_usd = 6_000_840
    assert "as planned" in waybill("bill", run.run_id).stdout
