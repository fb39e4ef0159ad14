"""The parser between a real storage and a real ledger, and what its tests are made of."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import io
import os
import signal
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration

from services.ledger.__main__ import build as build_ledger
from services.ledger.config import LedgerConfig
from services.parser import pages
from services.parser.__main__ import build as build_parser
from services.parser.backends.llamaparse.engine import LlamaParse
from services.parser.backends.llamaparse.sdk import opened
from services.parser.backends.local import KeepsNothing, LocalParser
from services.parser.backends.port import Bought, Charge, Order, Parse, Parser, Preview, Source, Stage
from services.parser.config import ParserConfig
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from services.parser.job import Job, NewJob
from services.parser.jobs import Jobs
from services.parser.objects import Objects
from services.parser.work import Pause
from services.parser.working import Runner
from services.storage.__main__ import build as build_storage
from services.storage.config import StorageConfig
from tests import hostile_pdfs
from tests.conftest import MigratedPostgres
from tests.contract.makers_llamacloud import SOON, at, quick
from tests.inprocess import Recorder, channel, served, server_config, someone
from tests.waiting import until
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import HoldRequest, ListEntriesRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.metering import Meter
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import CreateParseJobRequest, GetParseJobRequest
from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceStub
from waybill.runtime import identity
from waybill.runtime.errors import NotFound, from_status
from waybill.runtime.postgres import Database
from waybill.sim.llamacloud.simulator import simulator
from waybill.storage.v1.object_storage_service_pb2 import GetObjectRequest
from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceStub
from waybill.vendors.calls import Calls
from waybill.vendors.limiter import Limiter

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub
    from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceAsyncStub
    from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceAsyncStub

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
PUT_OFF = """
update waybill_parser.jobs set in_vain = %s, look_at = now() + interval '1 hour' where job_id = %s
"""
# The same as a vendor is sent it: two pages.
HTML = b"<h1>Tides</h1><p>They turn.</p>\f<p>And turn again.</p>"
MARKDOWN = b"# Tides\n\nThey turn.\n\fAnd turn again.\n"


@dataclass(frozen=True)
class Neighbours:
    """Storage and ledger, and where they are."""

    storage: ObjectStorageServiceAsyncStub
    storage_address: str
    ledger: LedgerServiceAsyncStub
    ledger_address: str

    async def store(self, content: bytes) -> str:
        """Puts a source; its key."""
        key = f"sources/{hashlib.sha256(content).hexdigest()}"
        await Objects(self.storage).put(key, io.BytesIO(content), "")
        return key

    async def entries(self) -> Sequence[Entry]:
        """What the current caller's run has spent."""
        request = ListEntriesRequest(run_ids=[identity.caller().run_id])
        return (await self.ledger.ListEntries(request)).entries

    async def ends(self) -> Sequence[tuple[Entry.State, int]]:
        """The states of these, and their quantities."""
        return [(entry.state, entry.quantity) for entry in await self.entries()]

    async def entry_states(self) -> Sequence[Entry.State]:
        """The states of these."""
        return [entry.state for entry in await self.entries()]

    async def result(self, key: str) -> Sequence[pages.Page]:
        """The pages of an artifact."""
        answers = [answer async for answer in self.storage.GetObject(GetObjectRequest(key=key))]
        return pages.load(b"".join(answer.data for answer in answers))


@asynccontextmanager
async def neighbours(database: MigratedPostgres, folder: Path) -> AsyncIterator[Neighbours]:
    config = StorageConfig(
        server_config("storage"), database.url("storage"), database.owner_url("storage"), folder
    )
    books = LedgerConfig(server_config("ledger"), database.url("ledger"), database.owner_url("ledger"))
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(served("storage", partial(build_storage, config)))
        ledger = await stack.enter_async_context(served("ledger", partial(build_ledger, books)))
        to_storage = await stack.enter_async_context(channel(storage))
        to_ledger = await stack.enter_async_context(channel(ledger))
        yield Neighbours(ObjectStorageServiceStub(to_storage), storage, LedgerServiceStub(to_ledger), ledger)


@asynccontextmanager
async def parser(database: MigratedPostgres, near: Neighbours) -> AsyncIterator[ParserServiceAsyncStub]:
    config = ParserConfig(
        server_config("parser"),
        database.url("parser"),
        database.owner_url("parser"),
        near.storage_address,
        near.ledger_address,
    )
    async with served("parser", partial(build_parser, config)) as address, channel(address) as opened:
        yield ParserServiceStub(opened)


def a_run() -> identity.Caller:
    return someone(f"t{uuid.uuid4().hex[:12]}", str(uuid.uuid4()))


def job_request(key: str, filename: str, content: bytes, **more: Any) -> CreateParseJobRequest:
    sha256 = hashlib.sha256(content).hexdigest()
    return CreateParseJobRequest(source_key=key, source_sha256=sha256, filename=filename, **more)


async def ended(stub: ParserServiceAsyncStub, job: ParseJob) -> ParseJob:
    """The job at its end: each call waits for it, as long as a call may."""
    request = GetParseJobRequest(job_id=job.job_id, wait=Duration(seconds=30))

    async def has_ended() -> bool:
        nonlocal job
        job = (await stub.GetParseJob(request)).job
        return job.state not in (ParseJob.STATE_QUEUED, ParseJob.STATE_RUNNING)

    await until(has_ended)
    return job


async def parsed(
    stub: ParserServiceAsyncStub, near: Neighbours, filename: str, content: bytes, **more: Any
) -> ParseJob:
    request = job_request(await near.store(content), filename, content, **more)
    return await ended(stub, (await stub.CreateParseJob(request)).job)


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), from_status(caught.value).reason


@asynccontextmanager
async def jobs_of(database: MigratedPostgres, owner: str) -> AsyncIterator[Jobs]:
    async with (
        Database.opened(database.url("parser")) as one,
        Database.opened(database.owner_url("parser")) as all_of_them,
    ):
        yield Jobs(one, all_of_them, owner)


async def created(store: Jobs, near: Neighbours, who: identity.Caller, content: bytes) -> Job:
    """A new job for a content that is stored."""
    with identity.acting_as(who):
        return await store.create(new_job(who, content, await near.store(content)))


def runner_of(
    store: Jobs,
    near: Neighbours,
    engine: Parser,
    pause: Pause = asyncio.sleep,
    objects: Objects | None = None,
    **vendor: Any,
) -> Runner:
    """One that works with these neighbours."""
    meter = Meter(near.ledger, Recorder().telemetry("parser").tracer, "parser")
    return Runner(store, objects or Objects(near.storage), engine, meter, DEFAULT_LIMITS, pause, **vendor)


@asynccontextmanager
async def parser_and_jobs(
    database: MigratedPostgres, folder: Path, owner: str
) -> AsyncIterator[tuple[Neighbours, Jobs, ParserServiceAsyncStub]]:
    """A parser, and its jobs as another process sees them."""
    async with (
        neighbours(database, folder) as near,
        jobs_of(database, owner) as store,
        parser(database, near) as stub,
    ):
        yield near, store, stub


def new_job(
    who: identity.Caller, content: bytes, key: str, filename: str = "a.md", *, light: bool = False
) -> NewJob:
    return NewJob(
        caller=who,
        traceparent=TRACEPARENT,
        source_key=key,
        source_sha256=hashlib.sha256(content).hexdigest(),
        filename=filename,
        tier="cost_effective",
        backend="local",
        cost_kind=CostKind.COST_KIND_SIMULATED,
        revision=LocalParser.capabilities.revision,
        light=light,
    )


class SteadyEngine(KeepsNothing):
    """An engine that keeps nothing, whose every document is one page: its text."""

    capabilities = LocalParser.capabilities

    def is_light(self, filename: str, size_bytes: int, head: bytes = b"") -> bool:
        return False

    async def count_pages(self, source: Source, artifact: pages.Artifact) -> int:
        return 1

    async def preview(self, source: Source, artifact: pages.Artifact) -> Preview:
        one = Bought(1, 1, exact=True)
        return Preview(one, one, text_known=False)

    async def begin(self, source: Source, order: Order, artifact: pages.Artifact) -> Parse:
        artifact.append(pages.Page(1, os.pread(source.file.fileno(), 64, 0).decode()))
        artifact.finish("text")
        return Parse("", Stage.ENDED)

    async def check(self) -> bool:
        return True


@dataclass
class RemoteParse:
    """What a vendor keeps of a parse: it ends at the third look."""

    id: str
    texts: Sequence[str]
    looks: int = 0
    charged_pages: int | None = None

    def told(self) -> Parse:
        stage = Stage.RUNNING if self.charged_pages is None else Stage.ENDED
        return Parse(self.id, stage, self.charged_pages)


class RemoteEngine:
    """An engine that keeps its parses, as a vendor does; form feeds end pages.

    Attributes:
        begun: By entry id, all that ever was.
    """

    capabilities = dataclasses.replace(
        LocalParser.capabilities, name="remote", keeps_parses=True, vendor="llamaparse",
        cost_kind=CostKind.COST_KIND_SIMULATED, would_buy_of="",
    )  # fmt: skip

    def __init__(self) -> None:
        self.begun: dict[str, RemoteParse] = {}
        self._kept: dict[str, RemoteParse] = {}

    def is_light(self, filename: str, size_bytes: int, head: bytes = b"") -> bool:
        return False

    def priced_as(self, source: Source, tier: str) -> str:
        return tier

    async def count_pages(self, source: Source, artifact: pages.Artifact) -> int:
        return len(self._texts(source))

    async def preview(self, source: Source, artifact: pages.Artifact) -> Preview:
        count = await self.count_pages(source, artifact)
        all_of_them = Bought(count, count, exact=True)
        return Preview(all_of_them, all_of_them, text_known=False)

    async def begin(self, source: Source, order: Order, artifact: pages.Artifact) -> Parse:
        texts = self._texts(source)
        assert texts not in [one.texts for one in self.begun.values()], "nothing is bought twice"
        begun = RemoteParse(f"pjb-{len(self.begun)}", texts)
        self.begun[order.entry_id] = self._kept[begun.id] = begun
        return begun.told()

    async def find(self, order: Order) -> Parse | None:
        found = self.begun.get(order.entry_id)
        return None if found is None else found.told()

    def longest_seconds(self, order: Order) -> float:
        return 600.0

    async def look(self, parse_id: str) -> Parse:
        one = self.kept(parse_id)
        one.looks += 1
        if one.looks == 3 and one.charged_pages is None:
            one.charged_pages = len(one.texts)
        return one.told()

    async def collect(self, parse_id: str, order: Order, artifact: pages.Artifact) -> None:
        artifact.clear()
        for number, text in enumerate(self.kept(parse_id).texts, start=1):
            artifact.append(pages.Page(number, text))
        artifact.finish("text")

    async def cancel(self, parse_id: str, order: Order) -> Parse:
        one = self.kept(parse_id)
        one.charged_pages = one.charged_pages or 0
        return one.told()

    async def leisure(self) -> None:
        pass

    async def charge(self, parse_id: str) -> Charge | None:
        charged = self.kept(parse_id).charged_pages
        return None if charged is None else Charge("cost_effective", "page", charged)

    async def forget(self, parse_id: str, order: Order) -> None:
        self.kept(parse_id)
        del self._kept[parse_id]

    async def check(self) -> bool:
        return True

    def charged(self, entry_id: str) -> bool:
        """Whether the vendor's invoice has the attempt."""
        return entry_id in self.begun and bool(self.begun[entry_id].charged_pages)

    def kept(self, parse_id: str) -> RemoteParse:
        """One that is not deleted. Raises NotFound."""
        if parse_id not in self._kept:
            raise NotFound("PARSE_NOT_FOUND", "The vendor knows no such parse.")
        return self._kept[parse_id]

    @staticmethod
    def _texts(source: Source) -> Sequence[str]:
        return os.pread(source.file.fileno(), 4096, 0).decode().split("\f")


@asynccontextmanager
async def an_engine(kind: str) -> AsyncIterator[Parser]:
    """Ours ("local"), one that keeps its parses ("remote"), or LlamaParse over its simulator."""
    if kind == "remote":
        yield RemoteEngine()
        return
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        if kind == "local":
            yield LocalParser(sandbox, DEFAULT_LIMITS)
            return
        async with simulator(quick()) as sim:
            config, calls = at(sim), Calls("llamaparse", SOON)
            async with opened(config, Limiter("llamaparse", 8), calls) as cloud:
                yield LlamaParse(config, cloud, sandbox, DEFAULT_LIMITS, sleep=no_pause)
                assert sim.jobs_created == sim.invoice.quantities().get("cost_effective", 0) // 2


async def no_pause(seconds: float) -> None:
    """Stands for a pause."""
    assert seconds > 0


def slow_pdf() -> bytes:
    """A content of its own that takes a child a second or two: time enough to halt it."""
    return hostile_pdfs.many_text_operators() + f"%{uuid.uuid4()}\n".encode()


def parse_children() -> Sequence[int]:
    """Processes that read a document for this one."""
    servers = [pid for pid in _children(os.getpid()) if b"services.parser.documents.child" in _command(pid)]
    return [child for server in servers for child in _children(server)]


def _children(pid: int) -> Sequence[int]:
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # its thread has ended meanwhile
            found += map(int, listing.read_text().split())
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


async def started(stub: ParserServiceAsyncStub, near: Neighbours, content: bytes, name: str = "a.pdf") -> str:
    """A job just created; its id."""
    request = job_request(await near.store(content), name, content)
    return (await stub.CreateParseJob(request)).job.job_id


async def being_parsed(stub: ParserServiceAsyncStub, near: Neighbours) -> str:
    """A job of the current run that a child is at work on, its price held; its id."""
    job_id = await started(stub, near, slow_pdf())
    await halted(near)
    return job_id


async def halted(near: Neighbours) -> None:
    """Waits for the child that the current run has paid for, and halts it where it is."""

    async def at_work() -> bool:
        held = any(entry.state == Entry.STATE_HELD for entry in await near.entries())
        return held and bool(parse_children())

    await until(at_work)
    for child in parse_children():
        os.kill(child, signal.SIGSTOP)


async def claimed(store: Jobs, who: identity.Caller, job_id: uuid.UUID) -> Job:
    """A job that the store's process takes."""
    job = await store.claim(who.tenant, job_id)
    assert job is not None
    return job


async def brought_to_end(runner: Runner, store: Jobs, who: identity.Caller, job_id: uuid.UUID) -> Job:
    """A job that a process takes again and again, at once, until it is final."""
    while not (job := await store.get(who.tenant, job_id)).state.final:
        await runner.begin(await claimed(store, who, job_id)).task
    return job


async def time_passes(database: MigratedPostgres, job: Job) -> None:
    """The job's lease runs out."""
    past = "update waybill_parser.jobs set leased_until = now() - interval '1 second' where job_id = %s"
    async with await psycopg.AsyncConnection.connect(database.owner_url("parser")) as connection:
        await connection.execute(past, (job.job_id,))


async def put_off(database: MigratedPostgres, job_id: uuid.UUID, in_vain: int = 1) -> None:
    """Says of a job that it is put off for an hour."""
    async with await psycopg.AsyncConnection.connect(database.owner_url("parser")) as connection:
        await connection.execute(PUT_OFF, [in_vain, job_id])


async def dead_attempt(
    database: MigratedPostgres, store: Jobs, near: Neighbours, who: identity.Caller, content: bytes
) -> Job:
    """A job whose process died long ago, right after it had stored the result: held, not on the row yet."""
    with identity.acting_as(who):
        created = await store.create(new_job(who, content, await near.store(content)))
        job = await claimed(store, who, created.job_id)
        await store.attach_entry(job, str(uuid.uuid4()), 2)
        job = await store.get(who.tenant, job.job_id)
        await near.ledger.Hold(
            HoldRequest(
                entry_id=job.entry_id, spend_key=job.spend_key, kind=job.cost_kind, service="parser",
                operation="parse", vendor="llamaparse", model=job.tier, quantity=2, unit="page",
                ttl=Duration(seconds=600), owner="parser/dead",
            )
        )  # fmt: skip
        with pages.Artifact.open() as artifact:
            for number in (1, 2):
                artifact.append(pages.Page(number, "Text."))
            artifact.finish("markdown", "utf-8")
            await Objects(near.storage).put(job.artifact_key, artifact.file, "application/jsonl")
    await time_passes(database, job)
    return job


async def exists(near: Neighbours, key: str) -> bool:
    """Whether the current caller has an object of this key."""
    return await Objects(near.storage).last_line(key) is not None
