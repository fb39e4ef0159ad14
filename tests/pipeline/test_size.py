"""Large documents and many of them: they become READY, and no process grows with them."""

from __future__ import annotations

import datetime
import itertools
import os
import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from reportlab.pdfgen.canvas import Canvas

from tests.conftest import open_folder
from tests.memory import Brood, forget_peak, peak_bytes
from tests.pipeline.workbench import Workbench, started
from waybill.orchestrator.v1.orchestrator_service_pb2 import CancelRunRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import Quota
from waybill.stack import state
from waybill.stack.home import Home

SERVICES = ("orchestrator", "storage", "parser", "embedder")
WORDS = ("basalt", "copper", "engine", "garden", "harbour", "keeper", "lamp", "meadow", "river", "stone")
MB = 1_000_000
MOST_UNFINISHED = 24
CROWD = 60
CLIENTS = 8
# The orchestrator's own settings: runs of one tenant, and of all.
TENANT_RUNS, RUNS = 12, 16
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak of a process's memory"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A stack of its own: the peaks of one that others used would hide what a document needs."""
    home = Home(open_folder(tmp_path_factory) / "stack")
    # A process that starts Tesseract would count as one that reads a document.
    alone = {"WAYBILL_PARSER_OCR_LANGUAGES": "none"}
    with started(home, WAYBILL_TENANT_UNFINISHED_RUNS=str(MOST_UNFINISHED), **alone):
        yield home


def pids(bench: Workbench) -> dict[str, int]:
    found = state.read(bench.home)
    assert found is not None
    return {name: found.programs[name].process.pid for name in SERVICES}


class Growth:
    """Peaks of the services, each beside the one before."""

    def __init__(self, bench: Workbench) -> None:
        self._pids = pids(bench)
        self._before = self._peaks()

    def begin(self) -> None:
        """What comes from here on is compared with what was needed up to here."""
        self._before = self._peaks()
        for pid in self._pids.values():
            forget_peak(pid)

    def megabytes(self) -> dict[str, float]:
        """By service; below 0 where less was needed than before."""
        return {name: (now - self._before[name]) / MB for name, now in self._peaks().items()}

    def _peaks(self) -> dict[str, int]:
        return {name: peak_bytes(pid) for name, pid in self._pids.items()}


def sentences(seed: int, words: int) -> str:
    chosen = random.Random(seed).choices(WORDS, k=words)
    return " ".join(chosen) + f" {seed}."


def pdf(pages: int, seed: int = 0) -> bytes:
    out = BytesIO()
    canvas = Canvas(out, invariant=1)
    for page in range(pages):
        for line in range(3):
            canvas.drawString(50, 800 - 14 * line, sentences(seed + 10 * page + line, 10))
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def markdown(size_bytes: int) -> bytes:
    text, paragraph = bytearray(), 0
    while len(text) < size_bytes:
        text += f"{sentences(paragraph, 200)}\n\n".encode()
        paragraph += 1
    return bytes(text)


def noise(size_bytes: int) -> bytes:
    """No PDF, and never the same."""
    return os.urandom(16) + bytes(size_bytes - 16)


def test_a_pdf_of_2000_pages_is_ready_with_all_its_pages_and_in_bounded_memory(bench: Workbench) -> None:
    parser = pids(bench)["parser"]
    with Brood.of(parser) as few:
        # Who reads one lives for less than a second, in which this process may be kept from looking.
        for number in range(4):
            assert bench.ingest(bench.file("200.pdf", pdf(200, seed=number))).state == Run.STATE_READY
    growth = Growth(bench)
    growth.begin()
    with Brood.of(parser) as many:
        run = bench.ingest(bench.file("2000.pdf", pdf(2_000, seed=5)))
    assert (run.state, run.pages) == (Run.STATE_READY, 2_000), run.message
    pages = {row["page"] for row in bench.indexed() if row["document_key"] == "2000.pdf"}
    assert pages == set(range(1, 2_001))
    assert max(growth.megabytes().values()) < 24, growth.megabytes()
    assert (many.peak_bytes - few.peak_bytes) / MB < 24


def test_a_document_of_much_text_is_never_held_whole(bench: Workbench) -> None:
    assert bench.ingest(bench.file("small.md", markdown(400_000))).state == Run.STATE_READY
    growth = Growth(bench)
    growth.begin()
    run_id = bench.client.ingest(bench.file("large.md", markdown(8_000_000))).run_id
    bench.reach(run_id, "embed")
    grown = growth.megabytes()
    bench.client.orchestrator.CancelRun(CancelRunRequest(run_id=run_id))
    assert max(grown.values()) < 16, grown


def test_the_bytes_of_a_large_document_pass_through_and_are_not_kept(bench: Workbench) -> None:
    def refused(size_bytes: int) -> None:
        run = bench.ingest(bench.file("noise.pdf", noise(size_bytes)))
        assert (run.state, run.reason) == (Run.STATE_FAILED, "PDF_IS_BROKEN")

    for _ in range(8):
        refused(8 * MB)
    growth = Growth(bench)
    growth.begin()
    for _ in range(2):
        refused(64 * MB)
    assert max(growth.megabytes().values()) < 16, growth.megabytes()


def send(bench: Workbench, number: int) -> tuple[str, int]:
    """Ingests a tiny document, every tenth a PDF, once there is room; its run, and how often none was."""
    name, content = f"{number}.md", f"# Note {number}\n\n{sentences(number, 30)}".encode()
    if number % 10 == 0:
        name, content = f"{number}.pdf", pdf(1, seed=100 * number)
    path, pause = bench.file(name, content), threading.Event()
    for refusals in itertools.count():
        try:
            return bench.client.ingest(path).run_id, refusals
        except Quota as full:
            if full.reason != "QUEUE_FULL" or full.retry_after_seconds is None:
                raise
            pause.wait(full.retry_after_seconds)
    raise AssertionError("unreachable")


def ready(bench: Workbench, by: datetime.datetime | None = None) -> int:
    """How many runs are READY, or were at a time."""
    query = (
        "select count(*) from waybill_runs.runs"
        " where tenant = %s and state = 'READY' and ended_at <= coalesce(%s, ended_at)"
    )
    return int(bench.rows(query, bench.tenant, by)[0]["count"])


def most_at_once(bench: Workbench, *tenants: str) -> int:
    """Most runs under way at a time, as their steps tell."""
    spans = bench.rows(
        "select min(started_at) as began, max(ended_at) as ended from waybill_runs.steps"
        " where tenant = any(%s) and name not in ('receive', 'store') group by run_id",
        list(tenants),
    )
    # An end that falls together with a beginning comes first.
    changes = sorted([(one["ended"], -1) for one in spans] + [(one["began"], 1) for one in spans])
    return max(itertools.accumulate(change for _, change in changes))


def test_a_crowd_of_documents_runs_at_the_set_concurrency_in_flat_memory_and_lets_another_tenant_by(
    bench: Workbench,
) -> None:
    growth = Growth(bench)
    with (
        bench.as_tenant(f"{bench.tenant}b") as other,
        Brood.of(pids(bench)["parser"]) as brood,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        sent = [clients.submit(send, bench, number) for number in range(CROWD)]
        bench.finish(sent[CROWD // 3].result()[0])
        alone = other.ingest(other.file("one.md", b"# One\n\nA single note."))
        assert alone.state == Run.STATE_READY
        bench.finish(sent[CROWD // 2].result()[0])
        growth.begin()
        for one in sent:
            assert bench.finish(one.result()[0]).state == Run.STATE_READY
    assert ready(bench) == CROWD
    before = ready(bench, by=alone.end_time.ToDatetime(datetime.UTC))
    assert sum(one.result()[1] for one in sent) > 0, "the queue was never full"
    assert before < CROWD * 3 // 4, "the other tenant's document waited for the crowd"
    assert 1 < most_at_once(bench, bench.tenant) <= TENANT_RUNS
    assert most_at_once(bench, bench.tenant, other.tenant) <= RUNS
    # A place for each core, and one more for small texts.
    assert 1 <= brood.most_at_once <= (os.cpu_count() or 1) + 1
    assert max(growth.megabytes().values()) < 8, growth.megabytes()
