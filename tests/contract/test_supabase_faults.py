"""Fault by fault: bytes whole or absent, the old object or the new one, and no key at another host."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import httpx2
import psycopg
import pytest

from services.storage.backends.supabase.opening import Opened
from services.storage.backends.supabase.uploads import PART_BYTES
from tests.conftest import MigratedPostgres
from tests.contract.makers_objects import KEY, Project, over_project, simulated, with_keys
from tests.contract.makers_storage import Headers, messages, tenant_headers
from tests.contract.supabase_faults import (
    DEADLINE_SECONDS,
    GET,
    HEALTH,
    LARGE,
    LINK,
    LIST,
    POSTGRES_ROWS,
    RACE,
    ROWS,
    SWEEP,
    Row,
    attempt_seconds,
)
from tests.waiting import until
from waybill.runtime import identity
from waybill.runtime.errors import CODES, ServiceError, from_status
from waybill.sim.supabase.simulator import SupabaseSimulator
from waybill.storage.v1 import object_storage_service_pb2 as pb
from waybill.vendors.health import VendorHealth

if TYPE_CHECKING:
    from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceAsyncStub

pytestmark = pytest.mark.slow

OLD, NEW, OTHER = b"old" * 30_000, b"newer" * 20_000, b"other" * 20_000
BIG = b"large" * (PART_BYTES // 4)
GROUPS = [[*rows] for _, rows in itertools.groupby(ROWS, lambda row: (int(row.name[1:]) - 1) // 4)]
BREAK = """
create sequence waybill_index.broken;
grant usage on sequence waybill_index.broken to waybill_storage;
create function waybill_index.break() returns trigger language plpgsql as $$
begin
    if nextval('waybill_index.broken') <= {times} then
        if '{code}' = '57P01' then
            perform pg_terminate_backend(pg_backend_pid());
            perform pg_sleep(1);
        end if;
        raise exception 'broken' using errcode = '{code}';
    end if;
    return new;
end
$$;
create trigger broken before update on waybill_index.objects
    for each row when (new.state = 'STORED') execute function waybill_index.break();
"""
MEND = """
drop trigger broken on waybill_index.objects;
drop function waybill_index.break();
drop sequence waybill_index.broken;
"""


class Stage:
    """A key with an old object, at a project whose faults are armed while it is played on."""

    def __init__(self, stub: ObjectStorageServiceAsyncStub, backend: Opened) -> None:
        self.me: Headers = tenant_headers()
        self._stub = stub
        self.backend = backend

    async def put(self, content: bytes, key: str = "k", seconds: float = DEADLINE_SECONDS) -> None:
        """Puts an object."""
        while True:
            sent = iter(messages(key, content))
            try:
                await self._stub.PutObject(sent, metadata=self.me, timeout=seconds)
                return
            except grpc.aio.AioRpcError as error:
                if from_status(error).reason != "ANSWER_LOST":
                    raise

    async def content(self, key: str = "k") -> bytes:
        """An object's bytes."""
        request = pb.GetObjectRequest(key=key)
        answers = self._stub.GetObject(request, metadata=self.me, timeout=DEADLINE_SECONDS)
        return b"".join([answer.data async for answer in answers])

    async def answer(self, call: str) -> str:
        """Makes the call; code and reason, or nothing where it succeeded and was right."""
        try:
            return await self._called(call)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name} {from_status(error).reason}"
        except ServiceError as error:
            return f"{CODES[type(error)].name} {error.reason}"

    async def _called(self, call: str) -> str:
        if call == GET:
            assert await self.content() == OLD
        elif call == LIST:
            answer = await self._stub.ListObjects(pb.ListObjectsRequest(), metadata=self.me)
            assert [one.key for one in answer.objects] == ["k"]
        elif call == RACE:
            await asyncio.gather(self.put(NEW), self.put(OTHER))
        elif call == LINK:
            return await self._fetched()
        elif call == HEALTH:
            assert await VendorHealth(self.backend.store.healthy).works()
        elif call == SWEEP:
            for key in "abcd":
                await self.put(b"x", key)
            request = pb.BatchDeleteObjectsRequest(keys=[*"abcd"])
            await self._stub.BatchDeleteObjects(request, metadata=self.me)
            await self.backend.sweeper.turn()
        else:
            await self.put(BIG if call == LARGE else NEW)
        return ""

    async def _fetched(self) -> str:
        tenant = str(self.me[0][1])
        with identity.acting_as(identity.Caller(tenant, "link")):
            link = await self.backend.store.sign_download(tenant, "k", 60, "k.txt")
        async with httpx2.AsyncClient() as http:
            answer = await http.get(link.url)
        if answer.status_code != 200:
            return f"HTTP {answer.status_code}"
        assert answer.content == OLD
        return ""


@asynccontextmanager
async def stage(made: Project, row: Row) -> AsyncIterator[Stage]:
    """A stage for a row, with a breaker and keys of its own."""
    keyed = with_keys(made, KEY, "sb_secret_spare") if row.spare_key else made
    timed = replace(keyed, config=replace(keyed.config, attempt_seconds=attempt_seconds(row)))
    async with timed.opened() as backend, over_project(timed, backend) as storage:
        one = Stage(storage.stub, backend)
        await one.put(OLD, seconds=60)
        yield one


async def expected(one: Stage, row: Row, answer: str) -> None:
    """The old object whole, or the new one."""
    candidates = {LARGE: [BIG], RACE: [NEW, OTHER]}.get(row.call, [NEW])
    changed = row.call in ("put", LARGE, RACE) and not answer
    content = await one.content()
    assert content in (candidates if changed else [OLD]), (row.fault, row.call, len(content))


async def settled(one: Stage, made: Project) -> None:
    """Swept, the vendor has one object, and our rows name no other."""

    async def is_swept() -> bool:
        await made.make_due()
        await one.backend.sweeper.turn()
        return (len(await made.objects()), await made.rows()) == (1, [])

    await until(is_swept)  # a refused put deletes what it had begun behind its answer


@pytest.mark.parametrize("rows", GROUPS, ids=[f"{rows[0].name}-{rows[-1].name}" for rows in GROUPS])
async def test_each_fault_ends_as_the_table_says_and_no_byte_is_lost(
    database: MigratedPostgres, rows: Sequence[Row]
) -> None:
    for row in rows:
        async with simulated(database) as (sim, made), stage(made, row) as one:
            before = len(sim.journal)
            sim.faults.add(row.fault)
            answer = await one.answer(row.call)
            sim.faults.heal()
            wire = len(sim.journal) - before
            assert answer == row.answer, row
            assert row.wire in (None, wire), (row, [e.operation for e in sim.journal[before:]])
            await expected(one, row, answer)
            await settled(one, made)
            _hold_keys(sim)


def _hold_keys(sim: SupabaseSimulator) -> None:
    assert not [entry for entry in sim.journal if entry.operation == "foreign" or entry.violation]


@pytest.mark.parametrize("row", POSTGRES_ROWS, ids=[f"{row.fault} {row.what}" for row in POSTGRES_ROWS])
async def test_a_fault_of_postgres_at_the_flip_leaves_the_old_object_or_the_new_one(
    database: MigratedPostgres, row: Row
) -> None:
    code, times = row.fault.partition(":")[2], 1 if row.what.endswith("once") else 1_000
    async with simulated(database) as (sim, made), stage(made, row) as one:
        before = len(sim.journal)
        with psycopg.connect(database.admin_url, autocommit=True) as admin:
            admin.execute(BREAK.format(code=code, times=times).encode())
            try:
                answer = await one.answer(row.call)
            finally:
                admin.execute(MEND.encode())
        assert answer == row.answer
        assert len(sim.journal) - before == 2, "the bytes are sent once, and looked at once"
        await expected(one, row, answer)
        await settled(one, made)


def test_every_fault_of_the_catalogue_has_a_row() -> None:
    named = {row.name for row in (*ROWS, *POSTGRES_ROWS)}
    assert {f"F{number}" for number in range(1, 38)} - named == {"F34", "F35", "F36"}
