"""The stack in simulator mode: the real OpenAI backend, and a vendor whose books are its own."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import openai
import pytest

from tests.pipeline.test_kill import check_whole
from tests.pipeline.workbench import SEEDS, Workbench, own_stack, simulated
from tests.waiting import eventually
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import RetryRunRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.vendors.registry import OPENAI

pytestmark = pytest.mark.slow

KEY = OPENAI.simulator_key
HALF_PRECISION = 2e-3
# So long a request is under way for a test that strikes it there; an attempt may take 20 s.
SLOW_SECONDS = 15.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with own_stack(tmp_path_factory, "simulator") as home:
        yield home


@pytest.fixture
def vendor(home: Home) -> Remote:
    return simulated(home, OPENAI)


def documents(bench: Workbench, seed: int, count: int = 3) -> Sequence[str]:
    """Accepted documents that no other seed has."""
    texts = [f"# Pump {seed}-{n}\n\n" + f"Pump {seed}-{n} runs dry at noon. " * 40 for n in range(count)]
    files = [bench.file(f"pump-{n}.md", text.encode()) for n, text in enumerate(texts)]
    return [bench.client.ingest(file).run_id for file in files]


@contextmanager
def slow(vendor: Remote) -> Iterator[None]:
    """A vendor whose answers come too late for the block."""
    vendor.delay(SLOW_SECONDS)
    try:
        yield
    finally:
        vendor.delay(OpenAISettings().latency_seconds)


def asked(vendor: Remote) -> int:
    """How many requests for vectors have come. Probes of its health come when they like."""
    return sum(line.operation == "embeddings" for line in vendor.journal)


def billed(vendor: Remote, entries: Sequence[Entry]) -> int:
    """What the vendor asks for these attempts, by its own journal."""
    ids = {entry.entry_id for entry in entries}
    return sum(line.billed_nano_usd for line in vendor.journal if line.client_request_id in ids)


def check_invoice(bench: Workbench, vendor: Remote, run_id: str) -> None:
    """settled ≤ invoice ≤ settled + in doubt."""
    entries = [entry for entry in bench.entries(run_id) if entry.operation == "embed"]
    settled = sum(entry.reported_nano_usd for entry in entries if entry.state == Entry.STATE_SETTLED)
    doubt = sum(entry.expected_nano_usd for entry in entries if entry.state == Entry.STATE_IN_DOUBT)
    assert settled <= billed(vendor, entries) <= settled + doubt


def check_vectors(bench: Workbench, vendor: Remote) -> None:
    """Each chunk has the vector that the vendor gives to its text, and nothing of another answer."""
    indexed = bench.indexed()
    texts = [f"{row['heading']}\n\n{row['text']}" if row["heading"] else row["text"] for row in indexed]
    with openai.OpenAI(base_url=vendor.base_url, api_key=vendor.key, max_retries=0) as client:
        answers = client.embeddings.create(model="text-embedding-3-small", input=texts).data
    for row, answer in zip(indexed, answers, strict=True):
        stored = np.array([float(number) for number in row["vector"].strip("[]").split(",")])
        assert np.abs(stored - np.array(answer.embedding)).max() < HALF_PRECISION


@pytest.mark.parametrize("seed", SEEDS)
def test_a_kill_between_request_and_reply_is_a_doubt_on_the_bill_and_no_wrong_vector(
    bench: Workbench, vendor: Remote, seed: int
) -> None:
    luck = random.Random(seed)
    seen, strike_at = asked(vendor), luck.randint(1, 3)
    with slow(vendor):
        runs = documents(bench, seed)
        # The vendor writes a request down when it comes.
        eventually(lambda: asked(vendor) >= seen + strike_at, "the requests are under way")
        bench.kill("embedder")
    assert [bench.finish(run_id).state for run_id in runs] == [Run.STATE_READY] * len(runs)
    eventually(
        lambda: not [e for run in runs for e in bench.entries(run) if e.state == Entry.STATE_HELD],
        "no attempt is left open",
    )
    doubts = [e for run in runs for e in bench.entries(run) if e.state == Entry.STATE_IN_DOUBT]
    assert doubts, "the kill cut off no request"
    for run_id in runs:
        check_invoice(bench, vendor, run_id)
        check_whole(bench, run_id)
    check_vectors(bench, vendor)


def test_a_revoked_key_fails_the_run_clearly_and_a_good_one_lets_it_be_retried(
    bench: Workbench, vendor: Remote
) -> None:
    vendor.keys.revoke(KEY)
    try:
        (run_id,) = documents(bench, -1, count=1)
        run = bench.finish(run_id)
        assert (run.state, run.reason) == (Run.STATE_FAILED, "VENDOR_KEY_REFUSED")
    finally:
        vendor.keys.add(KEY)
    bench.client.orchestrator.RetryRun(RetryRunRequest(run_id=run_id))
    assert bench.finish(run_id).state == Run.STATE_READY
    check_invoice(bench, vendor, run_id)


def test_the_key_is_in_no_log_and_no_table(home: Home, bench: Workbench, vendor: Remote) -> None:
    (run_id,) = documents(bench, -2, count=1)
    assert bench.finish(run_id).state == Run.STATE_READY
    logs = list(home.logs.glob("*"))
    assert len(logs) >= 7
    assert not [log.name for log in logs if KEY in log.read_text(errors="replace")]
    tables = bench.rows(
        "select quote_ident(schemaname) || '.' || quote_ident(tablename) as name from pg_tables"
        " where schemaname not in ('pg_catalog', 'information_schema')"
    )
    assert len(tables) > 10
    encoded = base64.b64encode(KEY.encode()).decode()
    for table in tables:
        query = f"select count(*) as found from {table['name']} t where t::text like any (%s)"  # noqa: S608 names from the catalogue
        assert bench.rows(query, [f"%{KEY}%", f"%{encoded}%"])[0]["found"] == 0, table["name"]
