"""A parser over the simulated LlamaCloud, and what its tests are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from google.protobuf.duration_pb2 import Duration

from services.parser.__main__ import Chosen, assembled
from services.parser.__main__ import build as build_parser
from services.parser.backends.llamaparse.config import LlamaParseConfig
from services.parser.backends.llamaparse.engine import LlamaParse
from services.parser.backends.llamaparse.sdk import opened
from services.parser.config import ParserConfig
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from tests.conftest import MigratedPostgres
from tests.contract.makers_llamacloud import SOON
from tests.contract.makers_parser import Neighbours, job_request
from tests.inprocess import Recorder, channel, served, server_config
from tests.waiting import turns, until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import GetParseJobRequest
from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceStub
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator
from waybill.vendors.calls import Calls
from waybill.vendors.limiter import Limiter
from waybill.vendors.retrying import Policy

if TYPE_CHECKING:
    from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceAsyncStub
FINAL = (ParseJob.STATE_SUCCEEDED, ParseJob.STATE_FAILED, ParseJob.STATE_CANCELLED)


class Hurry:
    """A clock that a wait moves forward, and nothing else: nobody waits.

    Attributes:
        seconds: Waited for so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await turns()


@asynccontextmanager
async def hurried(
    database: MigratedPostgres, near: Neighbours, config: LlamaParseConfig, clock: Hurry
) -> AsyncIterator[ParserServiceAsyncStub]:
    """The same where each wait for the vendor's rate, or between two attempts, is over at once."""
    limiter = Limiter("llamaparse", 8, clock.now, clock.sleep)
    calls = Calls("llamaparse", SOON, clock.sleep, clock.now)
    async with Sandbox.open(DEFAULT_LIMITS, 2) as sandbox, opened(config, limiter, calls) as cloud:
        engine = LlamaParse(config, cloud, sandbox, DEFAULT_LIMITS, sleep=clock.sleep)
        chosen = Chosen(engine, DEFAULT_LIMITS, {})
        build = partial(assembled, _settings(database, near, config), chosen=chosen)
        async with served("parser", build) as address, channel(address) as to_it:
            yield ParserServiceStub(to_it)


@asynccontextmanager
async def llamaparse(
    database: MigratedPostgres,
    near: Neighbours,
    config: LlamaParseConfig,
    recorder: Recorder | None = None,
    policy: Policy = SOON,
) -> AsyncIterator[ParserServiceAsyncStub]:
    """A parser whose backend is LlamaParse."""
    build = partial(build_parser, _settings(database, near, config), policy=policy)
    async with served("parser", build, recorder) as address, channel(address) as to_it:
        yield ParserServiceStub(to_it)


def _settings(database: MigratedPostgres, near: Neighbours, config: LlamaParseConfig) -> ParserConfig:
    return ParserConfig(
        server_config("parser"),
        database.url("parser"),
        database.owner_url("parser"),
        near.storage_address,
        near.ledger_address,
        "llamaparse",
        config,
        children=2,
    )


async def begun(
    stub: ParserServiceAsyncStub, near: Neighbours, filename: str, content: bytes, **more: Any
) -> ParseJob:
    """A job that the vendor has, or that has ended without it."""
    wait = Duration(seconds=20)
    request = job_request(await near.store(content), filename, content, wait=wait, **more)
    return (await stub.CreateParseJob(request)).job


async def final(stub: ParserServiceAsyncStub, job_id: str) -> ParseJob:
    """The job at its end."""
    found: list[ParseJob] = []

    async def ended() -> bool:
        found[:] = [(await stub.GetParseJob(GetParseJobRequest(job_id=job_id))).job]
        return found[0].state in FINAL

    await until(ended)
    return found[0]


async def parsed_there(
    stub: ParserServiceAsyncStub, near: Neighbours, filename: str, content: bytes, **more: Any
) -> ParseJob:
    """A job at its end."""
    return await final(stub, (await begun(stub, near, filename, content, **more)).job_id)


def owed(entries: Sequence[Entry]) -> int:
    """What the ledger says was spent, nano-USD."""
    return sum(entry.reported_nano_usd + entry.adjusted_nano_usd for entry in entries)


def doubtful(entries: Sequence[Entry]) -> int:
    """What may be owed besides, nano-USD."""
    uncertain = (Entry.STATE_HELD, Entry.STATE_IN_DOUBT)
    return sum(entry.expected_nano_usd for entry in entries if entry.state in uncertain)


def operations(sim: LlamaCloudSimulator) -> list[str]:
    """What was asked of the vendor, in order."""
    return [one.operation for one in sim.journal]
