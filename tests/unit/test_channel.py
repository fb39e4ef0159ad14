"""What becomes of a request stream whose server ends the call first."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc.aio import Metadata

from waybill.runtime.channel import send


class Ended:
    """A call whose every write fails; grpc.aio's own says this where a write meets a call that has ended."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._error = grpc.aio.AioRpcError(code, Metadata(), Metadata(), details)

    async def write(self, message: str) -> None:
        raise self._error


async def _messages() -> AsyncIterator[str]:
    yield "header"


async def test_a_status_that_grpc_lost_is_no_defect_and_may_be_repeated() -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="Repeat the call") as caught:
        await send(Ended(grpc.StatusCode.INTERNAL, "Internal error from Core"), _messages())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_status_that_came_travels_as_it_is() -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="too large") as caught:
        await send(Ended(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large"), _messages())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
