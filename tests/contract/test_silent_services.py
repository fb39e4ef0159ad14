"""A service of ours that goes silent, its connections open: what callers hear, and how soon runs wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from services.orchestrator.__main__ import build
from services.orchestrator.config import OrchestratorConfig
from tests.conftest import MigratedPostgres
from tests.contract.makers_services import all_but_orchestrator
from tests.cutting import Way, way
from tests.inprocess import served, server_config
from waybill.client import connect
from waybill.runtime.errors import Deadline

pytestmark = pytest.mark.slow


@asynccontextmanager
async def behind(database: MigratedPostgres, folder: Path, name: str) -> AsyncIterator[tuple[Way, str]]:
    """The orchestrator's way to a service, and where it serves itself."""
    async with all_but_orchestrator(database, folder) as at, way(int(at[name].rpartition(":")[2])) as made:
        to = {**at, name: made.address}
        config = OrchestratorConfig(
            server_config("orchestrator"), database.url("orchestrator"), database.owner_url("orchestrator"),
            to["storage"], to["parser"], to["embedder"], to["ledger"], "silence", 4, 4, 5_000,
        )  # fmt: skip
        async with served("orchestrator", partial(build, config)) as address:
            yield made, address
            made.flows.set()


@pytest.mark.parametrize("size_bytes", [100, 8_000_000])
async def test_an_upload_that_storage_does_not_take_in_time_is_refused_in_words(
    database: MigratedPostgres, tmp_path: Path, size_bytes: int
) -> None:
    path = tmp_path / "pumps.txt"
    path.write_bytes(b"p" * size_bytes)
    async with behind(database, tmp_path / "objects", "storage") as (storage, address):
        with connect(address, environ={}, tenant="silence", deadline_seconds=6.0) as client:
            storage.flows.clear()
            with pytest.raises(Deadline) as caught:
                await asyncio.to_thread(client.ingest, path)
            assert caught.value.reason == "DEADLINE_EXCEEDED"
            assert "Nothing was accepted" in caught.value.message
            storage.flows.set()
