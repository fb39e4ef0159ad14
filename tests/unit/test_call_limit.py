"""Who sends nothing, or too much at once, keeps nobody else out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.inprocess import Recorder, of_service, served
from tests.waiting import PATIENCE_SECONDS, until
from waybill.runtime import errors
from waybill.runtime.audit import Audit, log_alone
from waybill.runtime.call_limit import MOST_CALLS, CallLimit
from waybill.runtime.errors import Deadline, Unavailable, from_status
from waybill.runtime.identity import Door
from waybill.runtime.interceptors import ServerInterceptor
from waybill.runtime.refusals import Refusals
from waybill.runtime.server import Service
from waybill.storage.v1.object_storage_service_pb2 import (
    PutObjectRequest,
    PutObjectResponse,
    StatObjectRequest,
    StatObjectResponse,
)
from waybill.storage.v1.object_storage_service_pb2_grpc import (
    ObjectStorageServiceServicer,
    ObjectStorageServiceStub,
    add_ObjectStorageServiceServicer_to_server,
)

NAME = "waybill.storage.v1.ObjectStorageService"


class Objects(ObjectStorageServiceServicer):
    """Reads what it is sent, to the end."""

    async def PutObject(self, messages: AsyncIterator[PutObjectRequest], context: Any) -> PutObjectResponse:  # noqa: N802
        async for _ in messages:
            pass
        return PutObjectResponse()

    async def StatObject(self, request: StatObjectRequest, context: Any) -> StatObjectResponse:  # noqa: N802
        return StatObjectResponse()


def tenant(name: str) -> tuple[tuple[str, str]]:
    return (("x-waybill-tenant", name),)


@asynccontextmanager
async def objects() -> AsyncIterator[tuple[grpc.aio.Channel, Any]]:
    rpcs = [(add_ObjectStorageServiceServicer_to_server, Objects())]
    async with (
        served("storage", of_service(Service(rpcs))) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield channel, ObjectStorageServiceStub(channel)


async def test_uploads_that_went_silent_keep_neither_other_tenants_nor_health_out() -> None:
    async with objects() as (channel, stub):
        silent = [stub.PutObject(metadata=tenant("silent")) for _ in range(300)]
        await asyncio.gather(*(call.write(PutObjectRequest()) for call in silent), return_exceptions=True)
        refused = [call async for call in _done(silent, 300 - MOST_CALLS // 2)]
        assert await stub.StatObject(StatObjectRequest(), metadata=tenant("other")) == StatObjectResponse()
        health = await HealthStub(channel).Check(HealthCheckRequest(service=NAME))
        assert health.status == HealthCheckResponse.SERVING
        for call in refused:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            found = from_status(caught.value)
            assert isinstance(found, Unavailable)
            assert (found.reason, found.retry_after_seconds) == ("TOO_MANY_CALLS", 0.5)
        for call in silent:
            call.cancel()


async def _done(calls: list[Any], count: int) -> AsyncIterator[Any]:
    """The calls that have ended, once they are so many."""
    await until(lambda: sum(call.done() for call in calls) >= count)
    for call in calls:
        if call.done():
            yield call


async def test_an_upload_that_pauses_too_long_is_ended_with_what_to_do() -> None:
    refusals, tracer = Refusals(Audit(log_alone)), Recorder().telemetry("storage").tracer
    server = grpc.aio.server(interceptors=[ServerInterceptor(tracer, Door(), refusals, silence_seconds=0.05)])
    add_ObjectStorageServiceServicer_to_server(Objects(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = ObjectStorageServiceStub(channel).PutObject(timeout=PATIENCE_SECONDS)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.write(PutObjectRequest())
            await call
    await server.stop(None)
    found = from_status(caught.value)
    assert (type(found), found.reason) == (Deadline, "STREAM_SILENT")


def test_one_tenant_gets_half_of_the_places_and_gives_them_back() -> None:
    limit = CallLimit(4)
    with limit.held("a"), limit.held("a"):
        with pytest.raises(Unavailable), limit.held("a"):
            pass
        with limit.held("b"), limit.held("b"), pytest.raises(Unavailable), limit.held("c"):
            pass
    with limit.held("a"), limit.held("a"):
        pass


def test_the_refusal_of_grpc_itself_is_one_to_repeat() -> None:
    refusal = grpc.aio.AioRpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(),
        "Concurrent RPC limit exceeded!",
    )
    assert isinstance(errors.from_status(refusal), Unavailable)
