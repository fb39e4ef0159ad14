"""A document is replaced fifty times under faults, and a searcher that never pauses does not notice."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from tests.pipeline.workbench import Workbench
from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.orchestrator.v1.orchestrator_service_pb2 import SearchRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import Unavailable

pytestmark = pytest.mark.slow

EDITIONS = 50
SECTIONS = 3
QUESTION = SearchRequest(query="which edition of the tide table says when high water is", limit=20)
# By edition: what breaks while it replaces the one before, and how its run ends.
FAULTS = {
    4: ("embedder.call.embed.after", "kill"),
    8: ("storage.publish.inside", "fail"),
    12: ("storage.commit.after", "fail after 4"),
    16: ("storage.publish.inside", "kill"),
    20: ("orchestrator.step.embed.start", "fail Quota"),
    24: ("orchestrator.step.publish.start", "kill"),
    28: ("storage.publish.inside", "delay 0.5"),
    32: ("storage.commit.before", "kill after 4"),
    36: ("orchestrator.commit.after", "fail after 8"),
    40: ("embedder.embed.done", "fail"),
    44: ("storage.commit.after", "kill after 5"),
}
FAILS = 20


def edition(number: int) -> bytes:
    """A document of some chunks, each of which says of which edition it is."""
    line = f"Edition {number:03} of the tide table: high water is at noon. "
    return "\n\n".join(f"# Pier {pier}\n\n{line * 10}" for pier in range(SECTIONS)).encode()


def editions_of(texts: Sequence[str]) -> set[int]:
    return {int(found) for text in texts for found in re.findall(r"Edition (\d+)", text)}


@contextmanager
def searching(bench: Workbench) -> Iterator[list[list[str]]]:
    """Searches all the time; the texts of each answer, as they come."""
    answers: list[list[str]] = []
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            with suppress(Unavailable):  # a killed service gives no answer, which is not a wrong one
                hits = bench.client.orchestrator.Search(QUESTION).hits
                answers.append([hit.chunk.text for hit in hits])

    with ThreadPoolExecutor(1) as pool:
        searcher = pool.submit(search)
        try:
            yield answers
        finally:
            stop.set()
            searcher.result(timeout=PATIENCE_SECONDS)


@pytest.mark.timeout(300)
def test_a_search_sees_one_edition_whole_while_the_document_is_replaced_under_faults(
    bench: Workbench,
) -> None:
    assert bench.ingest(bench.file("tides.md", edition(0))).state == Run.STATE_READY
    with searching(bench) as answers:
        for number in range(1, EDITIONS + 1):
            if number in FAULTS:
                bench.arm(*FAULTS[number])
            run = bench.ingest(bench.file("tides.md", edition(number)))
            assert run.state == (Run.STATE_FAILED if number == FAILS else Run.STATE_READY), run.message
            if number in FAULTS:
                assert bench.used(FAULTS[number][0]), f"the fault of edition {number} never struck"
                bench.disarm()
        seen_before = len(answers)
        eventually(lambda: len(answers) > seen_before + 1, "a search after the last replacement")
    assert {len(texts) for texts in answers} == {SECTIONS}, "an answer was empty, or not a whole edition"
    seen = [editions_of(texts) for texts in answers]
    assert all(len(numbers) == 1 for numbers in seen), "two editions in one answer"
    order = [number for numbers in seen for number in numbers]
    assert order == sorted(order), "an older edition came back"
    assert order[-1] == EDITIONS
    assert FAILS not in order
    # The searcher did look while editions changed.
    assert len(set(order)) > EDITIONS / 2
