"""The whole stack over a LlamaCloud that breaks, while its programs are killed."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.pipeline.test_kill import check_whole
from tests.pipeline.workbench import SEEDS, Workbench, own_stack, simulated
from tests.waiting import eventually
from waybill.cli.main import app
from waybill.ledger.v1.audit_pb2 import ListAuditRequest
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetRunRequest, SearchRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.settings import HOME
from waybill.sim.journal import Entry as Line
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.stack.ports import free_ports
from waybill.vendors.registry import LLAMAPARSE, OPENAI, SUPABASE

pytestmark = pytest.mark.slow

DOCUMENTS = 3
EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "documents").iterdir())
# Plain text is read here.
SENT = [path for path in EXAMPLES if path.suffix not in (".md", ".txt")]
KILLED = ("parser", "orchestrator")
LONGEST_SECONDS_TO_A_KILL = 4.0
# What a dead process had is taken over once its lease has run out. In most seeds that is at once, in the
# others the others' work of those seconds goes on.
LAPSE = {
    "parser": "update waybill_parser.jobs set leased_until = now() where leased_until > now()",
    "orchestrator": "update waybill_runs.waits set leased_until = now() where leased_until > now()",
}
LAPSES_AT_ONCE = 0.75
# What is put off for many seconds comes now.
HASTE = (
    "update waybill_parser.jobs set charge_at = now() where charge_at > now();"
    "update waybill_runs.waits set look_at = now() where look_at > now()"
)
UNENDED = (
    "select from waybill_runs.runs where tenant = %s and state in ('QUEUED', 'RUNNING', 'WAITING_ON_VENDOR')"
)
# A vendor that is silent, by design, costs a seed so much.
ATTEMPT_SECONDS = "4"
SELDOM_SECONDS = 0.25
# Requests that break, each with its share; a fault of a job with one out of three.
CREATES = ("F01", "F02/0", "F03", "F04", "F05", "F06", "F07", "F08", "F09", "F16")
READS = ("F01", "F03", "F04", "F05", "F07", "F09")
# Once each: a vendor whose answer makes no sense twice in a row fails the run, and says so.
SENSELESS = ("F10", "F11", "F12", "F13")
OF_JOBS = (
    *("F24/2", "F29", "F30/1", "F31/3", "F31/wrong", "F36", "F37", "F37/unsigned", "F37/unknown"),
    *("F38/5", "F39", "F40", "F40/3", "F41/2", "F42"),
)
OPERATIONS = ("parse.get", "parse.list", "files", "parse.delete")
OPEN = (Entry.STATE_HELD, Entry.STATE_IN_DOUBT)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    listener = f"127.0.0.1:{free_ports(1)[0]}"
    with own_stack(
        tmp_path_factory,
        "simulator",
        LLAMA_CLOUD_ATTEMPT_SECONDS=ATTEMPT_SECONDS,
        LLAMA_CLOUD_WEBHOOK_URL=f"http://{listener}/told",
        LLAMA_CLOUD_WEBHOOK_BIND=listener,
        LLAMA_CLOUD_WEBHOOK_SECRET=uuid.uuid4().hex,
    ) as home:
        yield home


@pytest.fixture
def vendor(home: Home) -> Iterator[Remote]:
    remote = simulated(home, LLAMAPARSE)
    remote.change("/jobs", queued_seconds=0.5, page_seconds=0.1, billed_seconds=0.5)
    yield remote
    remote.faults.heal()


def schedule(luck: random.Random) -> str:
    """Faults of creates, of other requests, of one answer, and of jobs."""
    creates = [f"{fault}:p=0.2" for fault in luck.sample(CREATES, 2)]
    reads = [f"{luck.choice(READS)}:p=0.15:op={operation}" for operation in luck.sample(OPERATIONS, 2)]
    senseless = f"{luck.choice(SENSELESS)}:times=1:op={luck.choice(('parse.create', *OPERATIONS))}"
    return ",".join([*creates, *reads, senseless, f"{luck.choice(OF_JOBS)}:p=0.33"])


def ingested(bench: Workbench, seed: int) -> Sequence[str]:
    """Documents that no other seed has, of one to three pages."""
    pages = {n: f"Pump {seed}-{n} {uuid.uuid4()} runs dry at noon." for n in range(DOCUMENTS)}
    files = [bench.file(f"pump-{n}.html", "\f".join([text] * (n + 1)).encode()) for n, text in pages.items()]
    return [bench.client.ingest(file).run_id for file in files]


def parses(bench: Workbench, runs: Sequence[str]) -> list[Entry]:
    return [entry for run in runs for entry in bench.entries(run) if entry.operation == "parse"]


def made(lines: Sequence[Line]) -> Counter[str]:
    """Jobs that the vendor began, by content and options; a 504 came after the work."""
    creates = [line for line in lines if line.operation == "parse.create"]
    return Counter(line.call for line in creates if line.status in (200, 504))


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_and_kills_lose_no_document_and_pay_none_twice(
    bench: Workbench, vendor: Remote, seed: int
) -> None:
    luck = random.Random(seed)
    seen, owed = len(vendor.journal), vendor.invoice.total_nano_usd
    vendor.faults.add(schedule(luck))
    runs = ingested(bench, seed)
    for _ in range(luck.randint(1, 2)):
        threading.Event().wait(luck.uniform(0, LONGEST_SECONDS_TO_A_KILL))
        eventually(bench.all_serving, "what was killed serves again", pause_seconds=SELDOM_SECONDS)
        killed = luck.choice(KILLED)
        bench.kill(killed)
        if luck.random() < LAPSES_AT_ONCE:
            bench.change(LAPSE[killed])
    eventually(lambda: over(bench), "all runs end", pause_seconds=SELDOM_SECONDS)
    ended = [bench.finish(run_id) for run_id in runs]
    vendor.faults.heal()
    assert [(run.state, run.reason) for run in ended] == [(Run.STATE_READY, "")] * len(runs)
    eventually(
        lambda: closed(bench, vendor, runs, owed),
        "the books are those of the vendor",
        pause_seconds=SELDOM_SECONDS,
    )
    lines = vendor.journal[seen:]
    assert [line.violation for line in lines if line.violation] == []
    assert sorted(made(lines).values()) == [1] * DOCUMENTS
    for run_id in runs:
        check_whole(bench, run_id)


def over(bench: Workbench) -> bool:
    """Whether all runs have ended."""
    bench.change(HASTE)
    return not bench.rows(UNENDED, bench.tenant)


def closed(bench: Workbench, vendor: Remote, runs: Sequence[str], owed: int) -> bool:
    """Nothing is open or in doubt, and what was spent is what the vendor asks for."""
    bench.change(HASTE)
    entries = parses(bench, runs)
    spent = sum(entry.reported_nano_usd + entry.adjusted_nano_usd for entry in entries)
    return not [entry for entry in entries if entry.state in OPEN] and (
        spent == vendor.invoice.total_nano_usd - owed
    )


def taken(vendor: Remote) -> set[str]:
    """Ids of the webhooks that were delivered."""
    return {line["id"] for line in vendor.webhooks if line["status"] == HTTPStatus.OK}


def test_the_bill_of_the_examples_is_the_sum_of_the_vendors_invoices_and_their_files_lie_at_the_third(
    home: Home, bench: Workbench, vendor: Remote
) -> None:
    vendors = (vendor, simulated(home, OPENAI))
    owed, told = sum(one.invoice.total_nano_usd for one in vendors), taken(vendor)
    runs = [bench.client.ingest(path).run_id for path in EXAMPLES]
    assert {bench.finish(run_id).state for run_id in runs} == {Run.STATE_READY}
    spent = [entry for run_id in runs for entry in bench.entries(run_id)]
    assert {entry.vendor for entry in spent} == {"llamaparse", "openai"}
    assert sum(entry.reported_nano_usd for entry in spent) == (
        sum(one.invoice.total_nano_usd for one in vendors) - owed
    )
    eventually(lambda: len(taken(vendor) - told) >= len(SENT), "the webhooks are taken")
    assert sum(entry.operation == "parse" for entry in spent) == len(SENT)
    journal = simulated(home, SUPABASE).journal
    written = [entry for entry in journal if entry.operation == "object.write.create" and entry.status == 200]
    assert len(written) >= 2 * len(EXAMPLES)  # the source and its pages
    assert not [entry.violation for entry in journal if entry.violation]
    for run_id in runs:
        check_whole(bench, run_id)


def switched(bench: Workbench, word: str) -> None:
    """`waybill mode WORD`, by the operator."""
    environ = {HOME.name: str(bench.home.folder), "COLUMNS": "60"}
    answer = CliRunner().invoke(app, ["mode", word], env=environ)
    assert answer.exit_code == 0, answer.output


def long_text() -> bytes:
    """A document of several embedding requests, so that a switch finds one half done."""
    salt = uuid.uuid4()
    return "\n\n".join(f"# Pump {n}\n\n" + f"Pump {n} of {salt} is dry. " * 90 for n in range(45)).encode()


def choices(run: Run) -> dict[str, tuple[str, str]]:
    return {one.service: (one.backend, one.reason) for one in run.backends}


def test_runs_under_way_go_through_switches_of_the_mode_and_pay_nothing_twice(
    bench: Workbench, vendor: Remote
) -> None:
    openai = simulated(bench.home, OPENAI)
    question = SearchRequest(query="pump runs dry at noon", limit=20)
    assert {bench.finish(run_id).state for run_id in ingested(bench, 900)} == {Run.STATE_READY}
    before = bench.client.orchestrator.Search(question)
    assert before.coverage.vectors == before.coverage.chunks > 0
    owed, asked = vendor.invoice.total_nano_usd, openai.invoice.total_nano_usd
    steady: dict[str, str] = {}
    under_way: list[str] = []
    try:
        for number, word in enumerate(("local", "hybrid", "local", "simulator")):
            switched(bench, word)
            text = f"Pump {uuid.uuid4()} runs dry at noon."
            steady[f"{number} {word}"] = bench.client.ingest(
                bench.file(f"{number}.html", text.encode())
            ).run_id
            assert bench.finish(steady[f"{number} {word}"]).state == Run.STATE_READY
            # The next switch comes while these are at work.
            under_way += ingested(bench, 901 + number)
            under_way.append(bench.client.ingest(bench.file(f"{number}.md", long_text())).run_id)
    finally:
        switched(bench, "default")
    runs = [*steady.values(), *under_way]
    ended = [bench.finish(run_id) for run_id in runs]
    assert {(run.state, run.reason) for run in ended} == {(Run.STATE_READY, "")}
    assert {run.tries for run in ended} == {1}
    expected = {"local": ("local", "local"), "hybrid": ("llamaparse", "openai")}
    for name, run_id in steady.items():
        found = choices(bench.client.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run)
        word = name.split()[1]
        reason = "MODE_REAL" if word == "simulator" else f"MODE_{word.upper()}"
        parser, embedder = expected.get(word, expected["hybrid"])
        assert found == {"parser": (parser, reason), "embedder": (embedder, reason)}, name
    for run in ended:
        # Whoever is named has done it, all of it, and nobody else anything.
        found, entries = choices(run), bench.entries(run.run_id)
        vendors = {entry.vendor for entry in entries if entry.operation == "embed"}
        assert vendors == {found["embedder"][0]}, found
        if not run.document_key.endswith(".md"):
            assert {entry.vendor for entry in entries if entry.operation == "parse"} == {found["parser"][0]}
        keys = [entry.spend_key for entry in entries]
        assert len(keys) == len(set(keys))
    eventually(
        lambda: closed(bench, vendor, runs, owed),
        "what was spent is what the vendor asks for",
        pause_seconds=SELDOM_SECONDS,
    )
    bought = [entry for run_id in runs for entry in bench.entries(run_id) if entry.vendor == OPENAI.name]
    assert sum(e.reported_nano_usd for e in bought) == openai.invoice.total_nano_usd - asked
    after = bench.client.orchestrator.Search(question)
    assert after.space == before.space
    published = {run.document_key: run for run in sorted(ended, key=lambda run: str(run.run_id))}.values()
    here = sum(run.chunks for run in published if choices(run)["embedder"][0] == "local")
    assert here
    assert after.coverage.chunks - after.coverage.vectors == here
    with bench.as_tenant(DEFAULT_TENANT) as operator:
        request = ListAuditRequest(action="mode.switch", page_size=10)
        eventually(lambda: len(operator.client.ledger.ListAudit(request).events) == 4, "all is audited")
        told = operator.client.ledger.ListAudit(request).events
    assert [(event.target, event.detail["mode"], event.outcome) for event in reversed(told)] == [
        ("parser embedder", mode, "OK") for mode in ("MODE_LOCAL", "MODE_HYBRID", "MODE_LOCAL", "MODE_REAL")
    ]
