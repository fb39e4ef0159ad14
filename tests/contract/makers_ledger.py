"""A ledger on a real database, and makers of what it is asked."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import grpc
import pytest

from services.ledger.__main__ import build
from services.ledger.config import LedgerConfig
from services.ledger.prices import PriceTable
from services.ledger.retries import RetryBudget
from services.ledger.webhook import WebhookConfig
from tests.conftest import MigratedPostgres
from tests.inprocess import channel, served, server_config, someone
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.ledger_service_pb2 import HoldRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.runtime import identity
from waybill.runtime.errors import from_status

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub


@asynccontextmanager
async def ledger(
    database: MigratedPostgres,
    operator: str = "",
    prices: PriceTable | None = None,
    webhook: WebhookConfig | None = None,
    retries: RetryBudget | None = None,
) -> AsyncIterator[LedgerServiceAsyncStub]:
    """A process's ledger; several of them share the database."""
    config = LedgerConfig(
        server_config("ledger"),
        database.url("ledger"),
        database.owner_url("ledger"),
        operator,
        prices or PriceTable.load(),
        webhook=webhook,
        retries=retries or RetryBudget(),
    )
    async with served("ledger", partial(build, config)) as address, channel(address) as opened:
        yield LedgerServiceStub(opened)


def hold(
    spend_key: str = "embed:s:1", quantity: int = 1000, owner: str = "embedder/1", **more: object
) -> HoldRequest:
    """An attempt at `quantity` tokens of 20 nano-USD each."""
    fields = {
        "entry_id": str(uuid.uuid4()),
        "kind": CostKind.COST_KIND_SIMULATED,
        "service": "embedder",
        "operation": "embed",
        "vendor": "openai",
        "model": "text-embedding-3-small",
        "unit": "token",
    }
    return HoldRequest(spend_key=spend_key, quantity=quantity, owner=owner, **(fields | more))  # type: ignore[arg-type]


def a_run(tenant: str = "") -> identity.Caller:
    """A caller that works for a run of its own."""
    return someone(tenant or f"t{uuid.uuid4().hex[:12]}", str(uuid.uuid4()))


def no_run() -> identity.Caller:
    """A caller outside a run."""
    return someone(f"t{uuid.uuid4().hex[:12]}")


async def failure(call: object) -> grpc.aio.AioRpcError:
    """The status that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def refused(call: object) -> tuple[grpc.StatusCode, str]:
    """Code and reason that a call ends with."""
    error = await failure(call)
    return error.code(), from_status(error).reason
