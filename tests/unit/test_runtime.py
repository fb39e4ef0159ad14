"""The runtime around every call: errors, deadlines, cancellation, callers and spans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from opentelemetry.trace import SpanKind

from tests.inprocess import Recorder, channel, of_service, served, someone
from tests.waiting import PATIENCE_SECONDS, turns, until
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest, EmbedResponse
from waybill.embedder.v1.embedder_service_pb2_grpc import (
    EmbedderServiceServicer,
    EmbedderServiceStub,
    add_EmbedderServiceServicer_to_server,
)
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest, ListEntriesResponse
from waybill.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceServicer,
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from waybill.runtime import deadline, errors, identity, semconv
from waybill.runtime.channel import reading
from waybill.runtime.config import ConfigError, Settings
from waybill.runtime.errors import InvalidRequest, ServiceError, from_status, to_status
from waybill.runtime.server import ServerConfig, Service
from waybill.runtime.settings import Setting
from waybill.runtime.wire import page_size

Handler = Callable[[], Awaitable[None]]

# gRPC rounds a timeout up before it sends it: to tenths of a second where it is long.
ROUNDING = 0.12


class Ledger(LedgerServiceServicer):
    """Answers as the test says."""

    def __init__(self, handle: Handler) -> None:
        self.handle = handle

    async def ListEntries(self, request: ListEntriesRequest, context: Any) -> ListEntriesResponse:  # noqa: N802
        await self.handle()
        return ListEntriesResponse()


class Endless(EmbedderServiceServicer):
    """Streams until it is stopped, and says that it was."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()

    async def Embed(self, request: EmbedRequest, context: Any) -> AsyncIterator[EmbedResponse]:  # noqa: N802
        try:
            while True:
                yield EmbedResponse(space=Space(dimension=1))
                await turns()
        finally:
            self.stopped.set()


@asynccontextmanager
async def ledger(handle: Handler, recorder: Recorder | None = None) -> AsyncIterator[Any]:
    rpcs = [(add_LedgerServiceServicer_to_server, Ledger(handle))]
    async with (
        served("ledger", of_service(Service(rpcs)), recorder) as address,
        channel(address, recorder) as opened,
    ):
        yield LedgerServiceStub(opened)


async def failure(call: Awaitable[object]) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_status(caught.value)


async def ended(recorder: Recorder, count: int) -> list[Any]:
    await until(lambda: len(recorder.exporter.get_finished_spans()) >= count)
    return list(recorder.exporter.get_finished_spans())


@pytest.mark.parametrize("kind", errors.CODES, ids=lambda kind: kind.__name__)
async def test_every_error_crosses_the_wire_with_its_reason_its_facts_and_its_delay(
    kind: type[ServiceError],
) -> None:
    async def handle() -> None:
        raise kind("SOME_REASON", "Do something.", {"fact": "1"}, retry_after_seconds=1.5)

    async with ledger(handle) as stub:
        found = await failure(stub.ListEntries(ListEntriesRequest()))
    assert (type(found), found.reason, found.message) == (kind, "SOME_REASON", "Do something.")
    assert (found.metadata, found.retry_after_seconds) == ({"fact": "1"}, 1.5)


def test_the_table_has_a_code_for_every_error_and_none_twice() -> None:
    assert set(errors.CODES) == set(ServiceError.__subclasses__())
    assert len(set(errors.CODES.values())) == len(errors.CODES)
    assert to_status(InvalidRequest("R", "m" * 5000)).message == "m" * errors.MAX_MESSAGE_CHARS


@pytest.mark.parametrize("raw", ["Deadline Exceeded", "Stream removed (Deadline Exceeded)", ""])
def test_a_deadline_that_no_server_tells_of_is_told_in_our_words(raw: str) -> None:
    none = grpc.aio.Metadata()
    found = from_status(grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, none, none, raw))
    assert (type(found), found.reason, found.message) == (
        errors.Deadline, "DEADLINE_EXCEEDED", errors.NO_ANSWER,
    )  # fmt: skip


async def test_a_defect_tells_the_caller_nothing_but_where_to_look() -> None:
    recorder = Recorder()

    async def handle() -> None:
        raise ValueError("secret of the document")

    async with ledger(handle, recorder) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListEntries(ListEntriesRequest())
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in (caught.value.details() or "")
    for span in await ended(recorder, 2):
        assert span.attributes[semconv.RPC_STATUS_CODE] == "INTERNAL"
        assert "secret" not in span.to_json()


async def test_a_cancelled_call_stops_the_handler_and_ends_both_spans_as_cancelled() -> None:
    recorder, begun, stopped = Recorder(), asyncio.Event(), asyncio.Event()

    async def handle() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with ledger(handle, recorder) as stub:
        task = asyncio.ensure_future(stub.ListEntries(ListEntriesRequest()))
        await begun.wait()
        task.cancel()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await stopped.wait()
        spans = await ended(recorder, 2)
    assert {span.attributes[semconv.RPC_STATUS_CODE] for span in spans} == {"CANCELLED"}


async def test_leaving_a_response_stream_early_stops_the_server() -> None:
    recorder, endless = Recorder(), Endless()
    rpcs = [(add_EmbedderServiceServicer_to_server, endless)]
    async with (
        served("e", of_service(Service(rpcs)), recorder) as address,
        channel(address, recorder) as opened,
    ):
        async with reading(EmbedderServiceStub(opened).Embed(EmbedRequest())) as answers:
            async for _ in answers:
                break
        async with asyncio.timeout(PATIENCE_SECONDS):
            await endless.stopped.wait()
        spans = await ended(recorder, 2)
    assert {span.kind for span in spans} == {SpanKind.CLIENT, SpanKind.SERVER}


async def test_what_is_left_of_the_deadline_reaches_the_server_and_ends_its_work() -> None:
    seen: list[float | None] = []

    async def handle() -> None:
        seen.append(deadline.remaining_seconds())
        await asyncio.Event().wait()

    async with ledger(handle) as stub:
        while not seen:  # a call that is slow on its way ends before the server has seen it
            found = await failure(stub.ListEntries(ListEntriesRequest(), timeout=2.0))
            assert isinstance(found, errors.Deadline)
    assert seen[0] is not None
    assert 0 < seen[0] <= 2.0 + ROUNDING


async def test_a_call_within_a_call_gets_no_more_time_than_is_left() -> None:
    seen: list[float] = []

    async def handle() -> None:
        seen.append(deadline.remaining_seconds() or 0)

    async with ledger(handle) as stub:
        deadline.start(20.0)
        await stub.ListEntries(ListEntriesRequest(), timeout=30)
    assert 0 < seen[0] <= 20.0 + ROUNDING


async def test_caller_and_trace_cross_the_wire() -> None:
    recorder, seen = Recorder(), []

    async def handle() -> None:
        seen.append(identity.caller())

    who = identity.Caller("acme", "label,with=odd;signs%", "0190a0a0-0000-7000-8000-000000000000", "ab" * 8)
    async with ledger(handle, recorder) as stub:
        with identity.acting_as(who):
            await stub.ListEntries(ListEntriesRequest())
        server, client = sorted(await ended(recorder, 2), key=lambda span: span.kind is SpanKind.CLIENT)
    assert seen == [who]
    assert server.parent.span_id == client.context.span_id
    assert server.attributes[semconv.RUN_ID] == client.attributes[semconv.RUN_ID] == who.run_id


async def test_a_call_without_metadata_is_the_default_tenant_with_a_fresh_label() -> None:
    seen: list[identity.Caller] = []

    async def handle() -> None:
        seen.append(identity.caller())

    async with ledger(handle) as stub:
        await stub.ListEntries(ListEntriesRequest())
        await stub.ListEntries(ListEntriesRequest())
    assert seen[0].tenant == identity.DEFAULT_TENANT
    assert seen[0].correlation_id != seen[1].correlation_id


@pytest.mark.parametrize(
    ("header", "value", "reason"),
    [
        (semconv.TENANT_HEADER, "../up", "TENANT_INVALID"),
        (semconv.TENANT_HEADER, "", "TENANT_INVALID"),
        (semconv.TENANT_HEADER, "größe", "TENANT_INVALID"),
        (semconv.CORRELATION_HEADER, "with space", "CORRELATION_ID_INVALID"),
        (semconv.CORRELATION_HEADER, "x" * 129, "CORRELATION_ID_INVALID"),
    ],
)
async def test_metadata_that_names_nobody_is_refused(header: str, value: str, reason: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await identity.Door().admit([(header, value)])
    assert caught.value.reason == reason


async def test_a_caller_survives_metadata_whatever_the_label_holds() -> None:
    who = someone(run_id="0190a0a0-0000-7000-8000-000000000000")
    assert await identity.Door().admit(identity.to_metadata(who)) == who


def test_a_page_has_the_usual_size_where_none_is_asked_and_never_more_than_the_most() -> None:
    assert [page_size(asked, 50, 200) for asked in (0, 1, 200, 1_000_000)] == [50, 1, 200, 200]
    with pytest.raises(errors.InvalidRequest):
        page_size(-1, 50, 200)


def declared(name: str, **more: Any) -> Setting:
    return Setting(name=name, group="", meaning="", **more)


@pytest.mark.parametrize(("value", "told"), [("0", "the least is 1"), ("9", "the most is 8"), ("8", "")])
def test_a_number_out_of_bounds_is_told(value: str, told: str) -> None:
    settings = Settings({"COUNT": value})
    assert settings.integer(declared("COUNT", least=1, most=8)) == int(value)
    if told:
        with pytest.raises(ConfigError, match=f"COUNT is {value}; {told}"):
            settings.check()
    else:
        settings.check()


def test_everything_that_is_missing_is_named_at_once() -> None:
    settings = Settings({"COUNT": "many", "WAYBILL_BIND": "0.0.0.0:1"})
    settings.text(declared("URL"))
    settings.integer(declared("COUNT"), 1)
    settings.choice(declared("MODE", choices=("a", "b")), "x")
    ServerConfig.read(settings, "ledger", 1)
    with pytest.raises(ConfigError) as caught:
        settings.check()
    assert all(name in str(caught.value) for name in ("URL", "COUNT", "MODE", "WAYBILL_BIND"))


def test_a_service_listens_beyond_loopback_only_where_the_network_is_said_to_be_closed() -> None:
    for private in ("0", "1"):
        settings = Settings({"WAYBILL_BIND": "0.0.0.0:1", "WAYBILL_PRIVATE_NETWORK": private})
        ServerConfig.read(settings, "ledger", 1)
        if private == "1":
            settings.check()
        else:
            with pytest.raises(ConfigError, match="WAYBILL_PRIVATE_NETWORK=1"):
                settings.check()


def test_production_refuses_a_local_backend() -> None:
    settings = Settings({"WAYBILL_ENV": "production"})
    settings.backend(declared("PARSER_BACKEND", choices=("local",)))
    with pytest.raises(ConfigError, match="production"):
        settings.check()
