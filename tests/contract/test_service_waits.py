"""Which services of ours are away, asked over the wire."""

from __future__ import annotations

import socket
from functools import partial

from grpc_health.v1.health_pb2_grpc import HealthStub

from services.ledger.__main__ import build
from services.ledger.config import LedgerConfig
from services.orchestrator.service_waits import Services
from tests.conftest import MigratedPostgres
from tests.inprocess import channel, served, server_config


async def test_a_service_that_is_there_answers_and_one_that_is_not_is_named(
    database: MigratedPostgres,
) -> None:
    books = LedgerConfig(server_config("ledger"), database.url("ledger"), database.owner_url("ledger"))
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{taken.getsockname()[1]}"
        async with (
            served("ledger", partial(build, books)) as address,
            channel(address) as to_ledger,
            channel(nowhere) as to_nobody,
        ):
            services = Services({"ledger": HealthStub(to_ledger), "storage": HealthStub(to_nobody)})
            assert await services.away() == ["storage"]
