"""A cancel at any step of a parse: a whole result that is paid, or none that is not."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.parser.backends.port import Parser
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.job import Job, JobState
from services.parser.jobs import Jobs
from services.parser.objects import Objects
from services.parser.working import Runner
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import (
    Neighbours,
    RemoteEngine,
    a_run,
    an_engine,
    created,
    exists,
    jobs_of,
    neighbours,
)
from tests.inprocess import Recorder
from tests.waiting import until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.metering import Meter
from waybill.runtime import identity

pytestmark = pytest.mark.slow


class Counted:
    """Anything whose every method is first counted."""

    def __init__(self, target: Any, count: Callable[[], None]) -> None:
        self._target = target
        self._count = count

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._target, name)
        if not callable(member):
            return member

        def method(*arguments: Any, **named: Any) -> Any:
            self._count()
            return member(*arguments, **named)

        return method


async def cancelled_at(operation: int, store: Jobs, near: Neighbours, engine: Parser) -> bool:
    """Parses a document, cancelling as the operation of that number begins; False: there were fewer."""
    who, content = a_run(), b"# %d\n\fnext" % operation
    cancelling: list[asyncio.Task[Any]] = []
    left = itertools.count(operation, -1)

    async def cancel() -> None:
        await runner.stop(await store.cancel(who.tenant, job.job_id, of_run=False))

    def count() -> None:
        if next(left) == 0:
            cancelling.append(asyncio.create_task(cancel()))

    def way(target: Any) -> Any:
        return Counted(target, count)

    meter = Meter(way(near.ledger), Recorder().telemetry("parser").tracer, "parser")
    runner = Runner(way(store), Objects(way(near.storage)), way(engine), meter, DEFAULT_LIMITS)

    async def ended() -> bool:
        return not (await store.get(who.tenant, job.job_id)).open

    with identity.acting_as(who):
        job = await created(store, near, who, content)
        async with runner.running(1):
            await until(ended)
            await asyncio.gather(*cancelling)
        await assert_whole(near, engine, await store.get(who.tenant, job.job_id))
    return bool(cancelling)


async def assert_whole(near: Neighbours, engine: Parser, job: Job) -> None:
    """Either cancelled without a trace, or there; paid where the engine charges for it."""
    succeeded = job.state is JobState.SUCCEEDED
    assert (job.state is JobState.CANCELLED, job.entry_id == "") == (not succeeded, not succeeded)
    entries = await near.entries()
    assert len(entries) <= 1
    for entry in entries:
        charged = engine.charged(entry.entry_id) if isinstance(engine, RemoteEngine) else succeeded
        assert entry.state == (Entry.STATE_SETTLED if charged else Entry.STATE_RELEASED)
    assert await exists(near, job.artifact_key) == succeeded


@pytest.mark.parametrize("kind", ["local", "remote"])
async def test_a_cancel_at_any_step_leaves_a_whole_result_that_is_paid_or_none_that_is_not(
    database: MigratedPostgres, tmp_path: Path, kind: str
) -> None:
    async with (
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/1") as store,
        an_engine(kind) as engine,
    ):
        operation = 0
        while await cancelled_at(operation, store, near, engine):
            operation += 1
        assert operation >= 9, "fetch, count, attach, hold, parse, put, pages, settle, succeed"
