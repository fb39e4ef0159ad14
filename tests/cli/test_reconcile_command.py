"""`waybill reconcile`: what is sent of a file, how a drift is told, and how the command ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Waybill
from tests.cli.fakes import Ledger
from tests.cli.test_commands import documented
from waybill.cli.exits import Exit
from waybill.ledger.v1.invoice_pb2 import Drift

SMALL = "text-embedding-3-small"
CSV = "vendor,day,model,unit,quantity\nopenai,2026-11-27,text-embedding-3-small,token,1000\n"
DOUBT = Drift(
    reason=Drift.REASON_IN_DOUBT, day="2026-11-27", model="text-embedding-3-small", tenant="acme",
    run_id="0190f000-0000-7000-8000-000000000001", document_key="\x1b[2Ja.md", entries=1, unit="token",
    invoiced_quantity=500, invoiced_nano_usd=10_000,
)  # fmt: skip
UNCHARGED = Drift(reason=Drift.REASON_IN_DOUBT, day="2026-11-27", tenant="acme", run_id="r", entries=1)
OTHER_DAY = Drift(reason=Drift.REASON_DAY_DIFFERS, day="2026-11-27", model="m", ledger_nano_usd=7)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "invoice.csv"
    path.write_text(CSV)
    return str(path)


def test_without_drift_the_command_is_done(waybill: Waybill, ledger: Ledger, file: str) -> None:
    result = waybill("reconcile", file, "--simulated")
    assert (result.exit_code, result.stdout.strip()) == (0, "no drift")
    assert "openai: 1 line, 2026-11-27 to 2026-11-27" in result.stderr
    header, lines = ledger.imported
    assert (header.header.name, header.header.vendor, len(header.header.sha256)) == (
        "invoice.csv",
        "openai",
        64,
    )
    assert (lines.lines.lines[0].line, lines.lines.lines[0].quantity) == (2, 1000)


@pytest.mark.parametrize(("drifts", "code"), [([UNCHARGED, OTHER_DAY], 0), ([DOUBT, OTHER_DAY], Exit.DRIFT)])
def test_only_what_is_owed_otherwise_is_drift(
    waybill: Waybill, ledger: Ledger, file: str, drifts: list[Drift], code: int
) -> None:
    ledger.drifts = drifts
    result = waybill("reconcile", file, COLUMNS="140")
    assert result.exit_code == code
    assert "--adjust follows the invoice" in result.stderr
    if code:
        _, line, *_ = [" ".join(line.split()) for line in result.stdout.splitlines()]
        assert line == ("\\x1b[2Ja.md (0190f000) of acme in doubt here 2026-11-27 500 tokens 0 +$0.00001")


def test_json_has_every_drift_and_the_invoice_at_last(waybill: Waybill, ledger: Ledger, file: str) -> None:
    ledger.drifts = [DOUBT]
    result = waybill("reconcile", file, "--json")
    drift, invoice = [json.loads(line) for line in result.stdout.splitlines()]
    assert (list(drift), list(invoice)) == (documented("drift"), documented("invoice"))
    assert (drift["reason"], drift["invoiced_nano_usd"]) == ("IN_DOUBT", 10_000)
    assert (invoice["drift_nano_usd"], invoice["drifts"], invoice["applied"]) == (10_000, 1, None)
    assert result.exit_code == Exit.DRIFT


def test_adjust_goes_on_until_all_is_followed_and_then_looks_again(
    waybill: Waybill, ledger: Ledger, file: str
) -> None:
    ledger.drifts = [DOUBT, DOUBT]
    result = waybill("reconcile", file, "--adjust")
    assert (result.exit_code, ledger.applied) == (0, 2)
    assert "followed: 0 corrected, 2 doubts settled, 0 doubts released" in result.stderr


def test_a_file_that_cannot_be_read_is_refused_with_what_to_do(
    waybill: Waybill, ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("name,age\nx,3\n")
    result = waybill("reconcile", str(tmp_path / "a.csv"))
    assert result.exit_code == Exit.REFUSED
    assert "error: INVOICE_UNREADABLE" in result.stderr
    assert "docs/cli.md says which files are read" in " ".join(result.stderr.split())
    assert waybill("reconcile", str(tmp_path / "absent.csv")).exit_code == Exit.NOT_FOUND
    assert ledger.imported == []


def test_a_sum_that_names_no_entry_is_told_with_what_to_do(
    waybill: Waybill, ledger: Ledger, file: str
) -> None:
    ledger.drifts = [
        Drift(reason=Drift.REASON_NOT_IN_LEDGER, day="2026-11-27", model="m", entries=2, unit="token",
              invoiced_quantity=1500, ledger_quantity=1000, invoiced_nano_usd=30_000, ledger_nano_usd=20_000),
        Drift(reason=Drift.REASON_NOT_IN_LEDGER, day="2026-11-28", model="n", invoiced_nano_usd=7),
        Drift(reason=Drift.REASON_NOT_INVOICED, day="2026-11-28", model="o", entries=2, unit="token",
              invoiced_quantity=5, ledger_quantity=9, ledger_nano_usd=8),
    ]  # fmt: skip
    result = waybill("reconcile", file, COLUMNS="140")
    whys = [" ".join(line.split()) for line in result.stdout.splitlines()][1:4]
    assert whys[0] == "m more than here 2026-11-27 1,500 tokens 1,000 +$0.00001"
    assert "not in the ledger" in whys[1]
    assert "less than here" in whys[2]
    told = " ".join(result.stderr.split())
    assert "3 differences without an entry on both sides: --adjust changes nothing there" in told
    assert "waybill bill --since 2026-11-27 --until 2026-11-28 --by model" in told
    assert "another program with the same account" in told
    assert "add --simulated" in told
    assert "--adjust follows the invoice" not in told


def test_what_the_invoice_lacks_is_told_as_nothing_that_adjust_mends_and_the_projects_are_named(
    waybill: Waybill, ledger: Ledger, tmp_path: Path
) -> None:
    file = tmp_path / "usage.csv"
    rows = "".join(f"1795824000,1795910400,{SMALL},{one},7\n" for one in ("proj_b", "proj_a"))
    file.write_text(f"start_time,end_time,model,project_id,input_tokens\n{rows}")
    ledger.drifts = [
        Drift(reason=Drift.REASON_NOT_INVOICED, entry_id="entry-1", ledger_nano_usd=8),
        Drift(reason=Drift.REASON_NOT_IN_LEDGER, day="2026-11-28", invoiced_nano_usd=9),
    ]
    told = " ".join(waybill("reconcile", str(file)).stderr.split())
    assert "--adjust follows the invoice" not in told
    assert "2 differences without an entry on both sides" in told
    assert "2 projects: proj_a, proj_b" in told


def test_of_very_many_differences_a_table_has_the_first_and_json_all(
    waybill: Waybill, ledger: Ledger, file: str
) -> None:
    ledger.drifts = [DOUBT] * 250
    shown = waybill("reconcile", file, COLUMNS="140")
    assert shown.stdout.count("in doubt here") == 200
    assert "and 50 differences more; --json has all of them" in " ".join(shown.stderr.split())
    assert len(waybill("reconcile", file, "--json").stdout.splitlines()) == 251


def test_what_names_an_entry_is_told_to_be_adjusted(waybill: Waybill, ledger: Ledger, file: str) -> None:
    ledger.drifts = [
        Drift(reason=Drift.REASON_AMOUNT_DIFFERS, entry_id="entry-1", invoiced_nano_usd=9, ledger_nano_usd=8)
    ]
    told = " ".join(waybill("reconcile", file).stderr.split())
    assert "--adjust follows the invoice" in told
    assert "without an entry" not in told


_DAY = '{"object": "page", "data": [{"start_time": 1764115200, "end_time": 1764201600, "results": [%s]}]}'


@pytest.mark.parametrize(
    ("content", "others"),
    [
        ('{"object": "page", "data": [], "has_more": false}', ""),
        (
            _DAY % '{"object": "organization.usage.completions.result", "input_tokens": 5}',
            "1 line is about something else",
        ),
    ],
)
def test_a_file_without_a_line_is_no_proof_that_nothing_drifts(
    waybill: Waybill, ledger: Ledger, tmp_path: Path, content: str, others: str
) -> None:
    (tmp_path / "usage").write_text(content)
    result = waybill("reconcile", str(tmp_path / "usage"), "--vendor", "openai")
    assert (result.exit_code, result.stdout) == (Exit.REFUSED, "")
    told = " ".join(result.stderr.split())
    assert "INVOICE_EMPTY: usage holds no line about what Waybill buys" in told
    assert others in told
    assert ledger.imported == []
