"""A trace of any size is read in pages that each fit into a message."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from services.orchestrator.runs.rows import RunRef
from services.orchestrator.traces import ids as trace_ids
from services.orchestrator.traces.reading import MAX_SPANS, MAX_TRACES, Traces
from tests.conftest import MigratedPostgres
from tests.pipeline.test_durable import House, house
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest, ListEntriesResponse
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceRequest, GetTraceResponse
from waybill.runtime.channel import MAX_MESSAGE_BYTES
from waybill.runtime.errors import InvalidRequest

__all__ = ["house"]

MAKE_SPANS = """
insert into waybill_runs.spans
select %(trace_id)s, lpad(to_hex(number), 16, '0'), %(tenant)s, '', '', 'storage',
    'waybill.storage.v1.DocumentIndexService/ListChunks', 'SERVER', number, 1, 'OK', repeat('e', 36)
from generate_series(1, %(count)s) number
"""


async def no_entries(_: ListEntriesRequest) -> ListEntriesResponse:
    return ListEntriesResponse()


def make_spans(database: MigratedPostgres, run: RunRef, count: int) -> None:
    values = {"trace_id": trace_ids.trace_id(run.run_id), "tenant": run.tenant, "count": count}
    with psycopg.connect(database.admin_url) as connection:
        connection.execute(MAKE_SPANS, values)


async def pages(house: House, wanted: GetTraceRequest) -> list[GetTraceResponse]:
    peers: Any = SimpleNamespace(ledger=SimpleNamespace(ListEntries=no_entries))
    traces = Traces(house.runs, house.steps, peers, house.database)
    answers: list[GetTraceResponse] = []
    while not answers or wanted.page_token:
        answers.append(await traces.of(house.tenant, wanted))
        wanted.page_token = answers[-1].next_page_token
    return answers


async def test_a_long_trace_comes_in_pages_that_fit_and_lacks_nothing(
    house: House, database: MigratedPostgres
) -> None:
    run = await house.run()
    make_spans(database, run, 2 * MAX_SPANS)
    answers = await pages(house, GetTraceRequest(run_id=run.run_id))
    assert all(answer.ByteSize() < MAX_MESSAGE_BYTES for answer in answers)
    spans = [span.span_id for answer in answers for trace in answer.traces for span in trace.spans]
    assert len(spans) == len(set(spans)) == 2 * MAX_SPANS + 3  # the root, receive and store
    assert spans[0] == trace_ids.root_span_id(run.run_id)


async def test_every_run_of_a_correlation_id_comes_once_oldest_first(house: House) -> None:
    runs = [await house.run(f"{number}.md") for number in range(MAX_TRACES + 3)]
    answers = await pages(house, GetTraceRequest(correlation_id="test"))
    assert [len(answer.traces) for answer in answers] == [MAX_TRACES, 3]
    seen = [trace.run_id for answer in answers for trace in answer.traces]
    assert seen == sorted(run.run_id for run in runs)


async def test_a_page_token_that_no_answer_held_is_refused(house: House) -> None:
    run = await house.run()
    nobody: Any = SimpleNamespace()
    traces = Traces(house.runs, house.steps, nobody, house.database)
    for token in ("x", f"{run.run_id}:", f"{run.run_id}:-1", "9" * 5000):
        with pytest.raises(InvalidRequest, match="PAGE_TOKEN_INVALID"):
            await traces.of(house.tenant, GetTraceRequest(run_id=run.run_id, page_token=token))
