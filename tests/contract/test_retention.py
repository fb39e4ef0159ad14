"""What is old and needed no more goes, in batches; what something needs stays."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import grpc
import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from services.ledger.retention import WINDOWS
from services.orchestrator.retention import STATEMENTS
from services.orchestrator.runs import engine
from services.parser.retention import JOBS
from services.storage.sweep import FORGET
from tests import waiting
from tests.conftest import MigratedPostgres
from tests.contract.makers_fuzz import CONTENT, SHA256
from tests.contract.makers_services import everything
from tests.waiting import until
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetRunRequest, IngestRequest
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.channel import send
from waybill.runtime.postgres import Database
from waybill.runtime.retention import prune, pruning

KEEP_DAYS, OLD, NEW = 90, 91, 89
RUN = """
insert into waybill_runs.runs (run_id, tenant, correlation_id, collection, document_key, filename,
    source_sha256, size_bytes, source_key, state, step, created_at, ended_at)
values (%(run_id)s, %(tenant)s, '', 'default', %(key)s::text, '', %(key)s::text, 0, '',
    %(state)s::text::waybill_runs.run_state, '', now() - make_interval(days => %(days)s),
    case when %(state)s::text <> 'RUNNING' then now() - make_interval(days => %(days)s) end)
"""
STEP = """
insert into waybill_runs.steps (tenant, run_id, span_id, name, status, started_at)
values (%(tenant)s, %(run_id)s, 's', 'parse', 'OK', now() - make_interval(days => %(days)s))
"""
SPAN = """
insert into waybill_runs.spans
values (replace(%(run_id)s::text, '-', ''), 's', %(tenant)s, '', '', '', '', '',
    (extract(epoch from now() - make_interval(days => %(days)s)) * 1e9)::bigint, 1, 'OK', '')
"""
JOB = """
insert into waybill_parser.jobs (job_id, tenant, source_key, source_sha256, filename, tier, state, backend,
    cost_kind, correlation_id, run_id, step_span_id, traceparent, entry_id, result_key, reason, ended_at)
values (gen_random_uuid(), %(tenant)s, '', repeat(%(digit)s, 64), '', 't', %(state)s::text, '',
    'REAL', '', '', '', '', %(entry_id)s, case when %(state)s::text = 'SUCCEEDED' then 'r' else '' end,
    case when %(state)s::text = 'FAILED' then 'R' else '' end, now() - make_interval(days => %(days)s))
"""
BUDGET = """
insert into waybill_ledger.budgets
    (tenant, collection, service, run_id, kind, unit, period, limit_amount, thresholds)
values (%(tenant)s, '', '', '00000000-0000-0000-0000-000000000000', 'REAL', 'NANO_USD', 'DAY', 1, '{80}')
"""
WINDOW = """
with window_ as (
    insert into waybill_ledger.budget_windows
        (window_id, budget_id, tenant, unit, run_id, started_at, limit_amount, in_doubt)
    select gen_random_uuid(), budget_id, tenant, unit, %(run_id)s::uuid,
        now() - make_interval(days => %(days)s::int), %(limit)s, %(in_doubt)s
    from waybill_ledger.budgets where tenant = %(tenant)s
    returning *)
insert into waybill_ledger.budget_alerts
    (window_id, threshold, budget_id, tenant, limit_amount, used, held, in_doubt)
select window_id, 80, budget_id, tenant, limit_amount, used, held, in_doubt from window_
"""
ENTRY = """
insert into waybill_ledger.entries (entry_id, tenant, run_id, correlation_id, spend_key, attempt, state, kind,
    service, operation, vendor, model, unit, quantity, price_nano_usd_per_million, expected_nano_usd,
    reported_nano_usd, owner, trace_id, parent_span_id, step_span_id, held_at, expires_at, ended_at)
select gen_random_uuid(), %(tenant)s, %(run_id)s, '', 'k', 1, 'SETTLED', 'REAL', '', '', '', '', '', 0, 0, 0,
    0, '', '', '', '', at, at, at
from (select now() - make_interval(days => %(days)s) as at) moment
"""
SWEPT = """
with document as (
    insert into waybill_index.documents (tenant, collection, document_key)
    values (%(tenant)s::text, 'default', 'a')
    returning document_id)
insert into waybill_index.document_versions
    (tenant, document_id, run_id, source_sha256, recipe, space_id, state, superseded_at)
select %(tenant)s::text, document_id, days::text, '', '', 1, 'SWEPT', now() - make_interval(days => days)
from document, unnest(%(days)s::int[]) days
"""


def a_tenant() -> str:
    return f"t-{uuid.uuid4()}"


class Rows:
    """Rows of a tenant of its own, as an administrator writes and sees them."""

    def __init__(self, connection: psycopg.Connection[DictRow]) -> None:
        self.tenant = a_tenant()
        self._connection = connection
        self._first, self._runs = secrets.randbits(62) << 64, 0

    def run(self, key: str, state: str, days: int) -> str:
        """A run with a step and a span; later ones have a higher id."""
        self._runs += 1
        run_id = str(uuid.UUID(int=self._first + self._runs))
        values = {"run_id": run_id, "tenant": self.tenant, "key": key, "state": state, "days": days}
        for statement in (RUN, STEP, SPAN):
            self.execute(statement, **values)
        return run_id

    def execute(self, statement: str, **values: object) -> None:
        self._connection.execute(statement.encode(), {"tenant": self.tenant, **values})

    def of(self, table: str, column: str) -> set[str]:
        """The values of a column, as text."""
        query = f"select {column}::text as value from {table} where tenant = %s"  # noqa: S608  (names of ours)
        return {row["value"] for row in self._connection.execute(query.encode(), [self.tenant])}


@pytest.fixture
def rows(database: MigratedPostgres) -> Iterator[Rows]:
    with psycopg.connect(database.admin_url, autocommit=True, row_factory=dict_row) as connection:
        yield Rows(connection)


async def test_old_runs_go_but_one_of_each_content_and_none_that_has_not_ended(
    database: MigratedPostgres, rows: Rows
) -> None:
    published = rows.run("a", "READY_DEGRADED", OLD)
    for state in ("UNCHANGED", "FAILED"):
        rows.run("a", state, OLD)
    rows.run("b", "FAILED", OLD)
    failed = rows.run("b", "CANCELLED", OLD)
    rows.run("c", "READY", OLD)
    recent = {rows.run("c", "READY", NEW), rows.run("a", "FAILED", NEW)}
    running = rows.run("d", "RUNNING", OLD)
    async with Database.opened(database.owner_url("orchestrator"), max_size=1) as owner:
        await prune(owner, STATEMENTS, KEEP_DAYS, batch_rows=2)
    assert rows.of("waybill_runs.runs", "run_id") == {published, failed, running, *recent}
    assert rows.of("waybill_runs.steps", "run_id") == {running, *recent}
    assert {str(uuid.UUID(trace)) for trace in rows.of("waybill_runs.spans", "trace_id")} == {
        running,
        *recent,
    }


async def test_parses_that_left_nothing_go_and_one_that_succeeded_or_left_something_stays(
    database: MigratedPostgres, rows: Rows
) -> None:
    for digit, state, days, entry_id in (
        ("1", "FAILED", OLD, None),
        ("2", "CANCELLED", OLD, None),
        ("3", "CANCELLED", OLD, uuid.uuid4()),
        ("4", "SUCCEEDED", OLD, None),
        ("5", "FAILED", NEW, None),
    ):
        rows.execute(JOB, digit=digit, state=state, days=days, entry_id=entry_id)
    async with Database.opened(database.owner_url("parser"), max_size=1) as owner:
        await prune(owner, (JOBS,), KEEP_DAYS)
    assert {sha256[0] for sha256 in rows.of("waybill_parser.jobs", "source_sha256")} == {"3", "4", "5"}


async def test_windows_that_are_long_over_go_with_their_alerts_but_none_with_an_open_sum_or_a_recent_run(
    database: MigratedPostgres, rows: Rows
) -> None:
    rows.execute(BUDGET)
    runs = {days: str(uuid.uuid4()) for days in (OLD, NEW)}
    for days, run_id in runs.items():
        rows.execute(ENTRY, run_id=run_id, days=days)
    windows: Sequence[tuple[int, str | None, int | None, int]] = (
        (1, None, KEEP_DAYS + 32, 0),
        (2, None, KEEP_DAYS + 32, 1),
        (3, None, NEW, 0),
        (4, runs[OLD], None, 0),
        (5, runs[NEW], None, 0),
    )
    for limit, of_run, began, in_doubt in windows:
        rows.execute(WINDOW, limit=limit, run_id=of_run, days=began, in_doubt=in_doubt)
    async with Database.opened(database.owner_url("ledger"), max_size=1) as owner:
        await prune(owner, (WINDOWS,), KEEP_DAYS, batch_rows=1)
    assert rows.of("waybill_ledger.budget_windows", "limit_amount") == {"2", "3", "5"}
    assert rows.of("waybill_ledger.budget_alerts", "limit_amount") == {"2", "3", "5"}
    assert len(rows.of("waybill_ledger.entries", "entry_id")) == len(runs)
    assert len(rows.of("waybill_ledger.budgets", "budget_id")) == 1


async def test_the_row_of_a_replaced_version_goes_once_nobody_repeats_its_publishing(
    database: MigratedPostgres, rows: Rows
) -> None:
    rows.execute(SWEPT, days=[OLD, NEW])
    async with Database.opened(database.owner_url("storage"), max_size=1) as owner:
        await prune(owner, (FORGET,), KEEP_DAYS)
    assert rows.of("waybill_index.document_versions", "run_id") == {str(NEW)}


async def test_the_engines_rows_of_ended_runs_go_too(database: MigratedPostgres, tmp_path: Path) -> None:
    metadata = (("x-waybill-tenant", a_tenant()),)
    header = IngestRequest.Header(document_key="a", filename="a.md", size_bytes=len(CONTENT), sha256=SHA256)

    async def messages() -> AsyncIterator[IngestRequest]:
        yield IngestRequest(header=header)
        yield IngestRequest(data=CONTENT)

    async with (
        everything(database, tmp_path / "objects") as addresses,
        grpc.aio.insecure_channel(addresses["orchestrator"]) as channel,
        await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin,
    ):
        stub = OrchestratorServiceStub(channel)
        run_id = (await send(stub.Ingest(metadata=metadata), messages())).run.run_id

        async def ready() -> bool:
            run = (await stub.GetRun(GetRunRequest(run_id=run_id), metadata=metadata)).run
            return bool(run.state == Run.STATE_READY) and await rows("completed_at is not null") == 1

        async def rows(condition: str = "true") -> int:
            query = f"select from dbos.workflow_status where workflow_uuid like %s and {condition}"
            return (await admin.execute(query.encode(), [f"{run_id}%"])).rowcount

        await until(ready)
        await engine.forget(KEEP_DAYS)
        assert await rows() == 1
        age = "update dbos.workflow_status set completed_at = completed_at - %s where workflow_uuid like %s"
        await admin.execute(age, [OLD * 86_400_000, f"{run_id}%"])
        await engine.forget(KEEP_DAYS)
        assert await rows() == 0


async def test_zero_days_keep_everything_and_others_begin_at_once() -> None:
    turns: list[int] = []

    async def turn(keep_days: int) -> None:
        turns.append(keep_days)

    for keep_days in (0, KEEP_DAYS):
        async with pruning(keep_days, turn):
            await waiting.turns(3)
    assert turns == [KEEP_DAYS]
