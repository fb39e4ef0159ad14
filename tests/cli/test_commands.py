"""What the reading commands print, for programs and for people."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.cli.conftest import Waybill
from tests.cli.fakes import (
    NASTY,
    Ledger,
    Orchestrator,
    make_entry,
    make_hit,
    make_run,
    make_spans,
)
from waybill.cli.exits import Exit
from waybill.cli.money import Figures, unit_price
from waybill.cli.plain import plain
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.avoided_pb2 import Avoided
from waybill.ledger.v1.entry_pb2 import Entry, RunTotal, WouldCost
from waybill.money import dollars
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceResponse
from waybill.orchestrator.v1.run_pb2 import Run

DOCUMENT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def documented(section: str) -> list[str]:
    """The keys of a table in docs/cli.md, in their order."""
    body = re.split(r"^#+ ", DOCUMENT.split(f"\n### {section}\n")[1], flags=re.MULTILINE)[0]
    return re.findall(r"^\| `(\w+)` \|", body, flags=re.MULTILINE)


@pytest.fixture
def full(orchestrator: Orchestrator, ledger: Ledger) -> tuple[Run, Run]:
    """Two runs of one label, the first with a repeated embedding and a real, doubtful parse."""
    first, second = make_run(1), make_run(2)
    orchestrator.has(first, second)
    orchestrator.hits = [make_hit(), make_hit("Another.", document_key="other.pdf")]
    orchestrator.traces = [
        GetTraceResponse.Trace(run_id=first.run_id, trace_id=first.trace_id, spans=make_spans())
    ]
    parse = make_entry(
        first.run_id,
        operation="parse",
        vendor="llamaparse",
        model="agentic",
        kind=CostKind.COST_KIND_REAL,
        state=Entry.STATE_IN_DOUBT,
        quantity=14,
        unit="page",
        price_nano_usd_per_million=3_000_000 * 1_000_000,
        expected_nano_usd=42_000_000,
        reported_nano_usd=None,
    )
    ledger.entries = [
        parse,
        make_entry(first.run_id),
        make_entry(first.run_id, attempt=2),
        make_entry(second.run_id),
        make_entry("", correlation_id="label-1"),
    ]
    ledger.avoided = [
        Avoided(
            run_id=first.run_id, operation="embed", kind=CostKind.COST_KIND_REAL, vendor="openai",
            model="text-embedding-3-small", quantity=700, unit="token",
            price_nano_usd_per_million=20_000_000, nano_usd=14_000,
        )
    ]  # fmt: skip
    ledger.totals = [
        RunTotal(run_id=first.run_id, simulated_nano_usd=1680, uncertain_nano_usd=42_000_000),
        RunTotal(run_id=second.run_id, simulated_nano_usd=840),
    ]
    return first, second


def test_the_exit_codes_are_those_of_the_document() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", DOCUMENT, flags=re.MULTILINE)
    assert [(int(number), name) for number, name in rows] == [(code.value, code.name) for code in Exit]


@pytest.mark.parametrize(
    ("command", "section", "inner"),
    [
        ("runs", "", {"runs": "run"}),
        ("run RUN", "run", {}),
        ("search question", "search", {"hits": "hit"}),
        ("trace RUN", "trace", {"spans": "span"}),
        ("bill RUN", "bill", {"entries": "entry", "avoided": "avoided"}),
    ],
)
def test_json_has_the_documented_keys(
    waybill: Waybill, full: tuple[Run, Run], command: str, section: str, inner: dict[str, str]
) -> None:
    result = waybill(*command.replace("RUN", full[0].run_id).split(), "--json")
    (shape,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, result.stderr) == (0, "")
    if section:
        assert list(shape) == documented(section)
    for key, inner_section in inner.items():
        assert shape[key]
        assert all(list(part) == documented(inner_section) for part in shape[key])


def test_cancel_retry_and_delete_have_the_documented_keys(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    run = make_run(state=Run.STATE_RUNNING)
    orchestrator.has(run)
    cancelled = json.loads(waybill("cancel", run.run_id, "--json").stdout)
    assert list(cancelled) == documented("run") + documented("cancel")
    assert (cancelled["state"], cancelled["released_nano_usd"]) == ("CANCELLED", 3_000_000)
    retried = json.loads(waybill("retry", run.run_id, "--json").stdout)
    assert list(retried) == documented("run")
    assert (retried["state"], retried["tries"], retried["complete_by"]) == ("QUEUED", 2, None)
    assert list(json.loads(waybill("delete", "a.md", "--json").stdout)) == documented("delete")


def test_a_retry_takes_a_new_time_or_keeps_the_old_one(waybill: Waybill, orchestrator: Orchestrator) -> None:
    orchestrator.has(make_run(state=Run.STATE_EXPIRED))
    run_id = make_run().run_id
    assert waybill("retry", run_id).exit_code == 0
    assert waybill("retry", run_id, "--within", "2h").exit_code == 0
    kept, later = orchestrator.requests
    assert not kept.HasField("complete_by")
    assert later.complete_by.ToDatetime(UTC) > datetime.now(UTC) + timedelta(minutes=119)


def test_a_run_that_is_ready_cannot_be_retried(waybill: Waybill, orchestrator: Orchestrator) -> None:
    orchestrator.has(make_run())
    result = waybill("retry", make_run().run_id)
    assert (result.exit_code, result.stdout) == (Exit.REFUSED, "")
    assert "error: RUN_READY" in result.stderr


def test_a_cancel_says_what_was_given_back(waybill: Waybill, orchestrator: Orchestrator) -> None:
    orchestrator.has(make_run(state=Run.STATE_RUNNING))
    lines = [line.split() for line in waybill("cancel", make_run().run_id).stdout.splitlines()]
    assert ["released", "$0.003"] in lines
    assert ["released_simulated", "$0.00000084"] in lines


def test_delete_counts_what_is_gone_and_says_when_nothing_was_there(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    gone = waybill("delete", "a.md", "--collection", "manuals")
    assert gone.stdout == ("a.md: deleted 1 version, 2,000 chunks, 2,000 vectors, 1 source, 1 parse result\n")
    assert orchestrator.requests[0].collection == "manuals"
    nothing = waybill("delete", "nothing.md", "--tenant", "acme")
    assert nothing.exit_code == 0
    assert "waybill documents --tenant acme" in nothing.stderr


def test_the_stacks_commands_have_the_documented_keys(waybill: Waybill, tmp_path: Path) -> None:
    result = waybill("down", "--json", WAYBILL_HOME=str(tmp_path))
    assert list(json.loads(result.stdout)) == documented("down")
    assert json.loads(result.stdout) == {"stopped": False}


def test_ingest_has_the_documented_keys(waybill: Waybill, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    result = waybill("ingest", str(tmp_path / "a.md"), str(tmp_path / "absent.md"), "--json")
    for line in result.stdout.splitlines():
        assert list(json.loads(line)) == documented("ingest")


@pytest.mark.parametrize("columns", [60, 100])
def test_a_run_in_a_list_has_its_whole_id_and_its_times(
    waybill: Waybill, orchestrator: Orchestrator, columns: int
) -> None:
    now = datetime.now(UTC)
    run = make_run(1, state=Run.STATE_FAILED, reason="DOCUMENT_UNREADABLE")
    run.create_time.FromDatetime(now - timedelta(minutes=4))
    run.end_time.FromDatetime(now - timedelta(minutes=3))
    orchestrator.has(run)
    shown = waybill("runs", COLUMNS=str(columns)).stdout
    assert run.run_id in shown
    assert "4 min ago, took" in shown
    assert max(map(cell_len, shown.splitlines())) <= columns


def test_runs_come_newest_first_up_to_the_limit_over_pages(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    orchestrator.has(*(make_run(number) for number in range(1, 8)))
    shape = json.loads(waybill("runs", "--limit", "5", "--json").stdout)
    assert [run["document_key"] for run in shape["runs"]] == [f"document-{n}.md" for n in (7, 6, 5, 4, 3)]


def test_a_bill_takes_a_run_id_or_a_correlation_id(waybill: Waybill, full: tuple[Run, Run]) -> None:
    one = [json.loads(line) for line in waybill("bill", full[0].run_id, "--json").stdout.splitlines()]
    assert [(bill["run_id"], len(bill["entries"])) for bill in one] == [(full[0].run_id, 3)]
    label = [json.loads(line) for line in waybill("bill", "label-1", "--json").stdout.splitlines()]
    assert [bill["run_id"] for bill in label] == [full[0].run_id, full[1].run_id, None]
    assert [bill["simulated_nano_usd"] for bill in label] == [1680, 840, 840]


@pytest.mark.parametrize("command", ["bill", "run"])
def test_an_unknown_id_says_where_to_look(waybill: Waybill, command: str) -> None:
    result = waybill(command, "nothing")
    assert (result.exit_code, result.stdout) == (Exit.NOT_FOUND, "")
    assert "error: RUN_NOT_FOUND" in result.stderr
    assert "waybill runs" in result.stderr


def test_a_receipt_keeps_real_simulated_and_doubtful_money_apart(
    waybill: Waybill, full: tuple[Run, Run]
) -> None:
    lines = [" ".join(line.split()) for line in waybill("bill", full[0].run_id).stdout.splitlines()]
    assert "14 pages × $0.003 $0.042" in lines
    assert "embed openai text-embedding-3-small cached, not bought" in lines
    assert "700 tokens × $0.02 per million avoided $0.000014" in lines
    assert "parse llamaparse agentic real, in doubt" in lines
    assert "embed openai text-embedding-3-small simulated" in lines
    assert "embed openai text-embedding-3-small repeated, simulated" in lines
    assert "total $0.00" not in lines
    assert lines[-2:] == [
        "held or in doubt $0.042",
        "simulated, owed to nobody $0.00000168",
    ]


def test_a_receipt_sums_what_local_work_would_cost_where_that_is_asked_for(
    waybill: Waybill, full: tuple[Run, Run], ledger: Ledger
) -> None:
    def local(operation: str, nano_usd: int) -> Entry:
        like = WouldCost(vendor="llamaparse", model="fast", price_date="2025-11-01", nano_usd=nano_usd)
        told = {"kind": CostKind.COST_KIND_LOCAL, "vendor": "local", "reported_nano_usd": 0}
        return make_entry(full[1].run_id, operation=operation, would_cost=like, **told)

    ledger.entries = [local("parse", 2_500_000), local("embed", 840)]
    *_, total, would_cost = waybill("bill", full[1].run_id, "--would-cost").stdout.splitlines()
    assert total.split()[0] in ("total", "simulated,")
    assert would_cost.split() == ["local", "work", "would", "cost", "at", "vendors", "$0.00250084"]
    assert "at vendors" not in waybill("bill", full[1].run_id).stdout


def test_a_waterfall_nests_marks_and_prices_each_span(waybill: Waybill, full: tuple[Run, Run]) -> None:
    head, _, root, step, call, *legend = waybill("trace", full[0].run_id).stdout.splitlines()
    assert head.startswith(f"trace {full[0].trace_id}")
    assert (root[2:8], step[2:8], call[:10]) == ("ingest", " embed", "!   openai")
    assert root.count("█") > step.count("█") > call.count("█") >= 1
    assert root.index("█") < step.index("█") < call.index("█")
    assert call.rstrip().endswith("400 ms ~$0.00000084")
    assert [line[0] for line in legend] == ["!", "~"]


def make_hostile(orchestrator: Orchestrator, ledger: Ledger) -> Run:
    run = make_run(1, document_key=NASTY, reason=NASTY, message=NASTY, step=NASTY, state=Run.STATE_FAILED)
    orchestrator.has(run)
    hit = make_hit(NASTY * 3, document_key=NASTY)
    hit.chunk.heading = NASTY
    orchestrator.hits = [hit]
    spans = make_spans()
    spans[1].name = spans[2].service = NASTY
    orchestrator.traces = [GetTraceResponse.Trace(run_id=run.run_id, trace_id=run.trace_id, spans=spans)]
    ledger.entries = [make_entry(run.run_id, vendor=NASTY, model=NASTY, operation=NASTY, unit=NASTY)]
    return run


@pytest.mark.parametrize("command", ["runs", "run RUN", "search question", "trace RUN", "bill RUN"])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_hostile_text_is_inert_in_every_command(
    waybill: Waybill, orchestrator: Orchestrator, ledger: Ledger, command: str, flags: list[str]
) -> None:
    run = make_hostile(orchestrator, ledger)
    result = waybill(*command.replace("RUN", run.run_id).split(), *flags, FORCE_COLOR="", TERM="xterm")
    assert result.exit_code == 0
    assert_inert(result.output)
    assert "\\x1b" in result.output or "\\u001b" in result.output
    assert flags or command == "trace RUN" or "[bold" in result.output


def test_a_hostile_file_name_is_inert_when_it_is_refused(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    name = NASTY.replace("/", "") + ".md"
    (tmp_path / name).write_text("x")
    orchestrator.endings[name] = Run(state=Run.STATE_FAILED, reason=NASTY, message=NASTY)
    for arguments in ([str(tmp_path)], [str(tmp_path), "--json"], [str(tmp_path / f"{NASTY}gone")]):
        result = waybill("ingest", *arguments)
        assert result.exit_code == 1
        assert_inert(result.output)


def assert_inert(output: str) -> None:
    obeyed = [c for c in output if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert not obeyed


@given(st.text())
def test_inert_text_holds_nothing_a_terminal_obeys(text: str) -> None:
    shown = plain(text).translate(dict.fromkeys(map(ord, "\u00ad\u200c\u200d")))
    assert_inert(shown)
    assert "\n" not in shown


def test_inert_text_keeps_what_people_write() -> None:
    assert plain("Größe [bold] נ 漢字 👩‍🔬 😀") == "Größe [bold] נ 漢字 👩‍🔬 😀"


@pytest.mark.parametrize("command", ["runs", "run RUN", "search question", "trace RUN", "bill RUN"])
@pytest.mark.parametrize("name", ["a-very-long-name-" * 12 + ".pdf", "漢字の名前" * 20], ids=["long", "wide"])
def test_sixty_columns_are_enough(
    waybill: Waybill,
    orchestrator: Orchestrator,
    ledger: Ledger,
    full: tuple[Run, Run],
    command: str,
    name: str,
) -> None:
    for run in orchestrator.runs.values():
        run.document_key = name
    for entry in ledger.entries:
        entry.model = name
    orchestrator.hits = [make_hit("word " * 90, document_key=name)]
    orchestrator.traces[0].spans[1].name = name
    result = waybill(*command.replace("RUN", full[0].run_id).split())
    wide = [line for line in result.stdout.splitlines() if cell_len(line) > 60]
    assert result.exit_code == 0
    # `run` prints one thing a line for grep and copy; a name or hash is not cut there.
    assert [line.split()[0] for line in wide] == (["document_key"] if command == "run RUN" else [])


def test_no_color_and_no_terminal_mean_no_escapes(waybill: Waybill, full: tuple[Run, Run]) -> None:
    coloured = waybill("bill", full[0].run_id, FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="")
    assert "\x1b[" in coloured.stdout
    plain = waybill("bill", full[0].run_id, FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain.stdout)
    assert "\x1b" not in waybill("bill", full[0].run_id).stdout


def test_the_limit_of_a_search_has_bounds(waybill: Waybill) -> None:
    assert waybill("search", "q", "--limit", "101").exit_code == Exit.USAGE


@given(st.integers(-(2**63), 2**63 - 1))
def test_money_is_exact_to_the_last_digit(nano_usd: int) -> None:
    shown = dollars(nano_usd)
    whole, fraction = shown.replace("$", "").replace(",", "").split(".")
    assert 2 <= len(fraction) <= 9
    assert int(whole + fraction.ljust(9, "0")) == nano_usd


def test_money_reads_as_people_write_it() -> None:
    assert [dollars(n) for n in (0, 1, 123_456, 1_500_000_000, -42_000_000, 1_234_000_000_000)] == [
        "$0.00",
        "$0.000000001",
        "$0.000123456",
        "$1.50",
        "-$0.042",
        "$1,234.00",
    ]
    assert unit_price(3_000_000 * 1_000_000) == "$0.003"
    assert unit_price(20_000_000) == "$0.02 per million"
    assert Figures(0, 5).short() == "~$0.000000005"
    assert Figures(10**9, 5).short() == "$1.00 ~$0.000000005"
