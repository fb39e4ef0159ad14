"""What the tests of the Supabase backend put there, and read."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Iterator

import pytest

from services.storage.backends.port import ObjectSpec
from services.storage.backends.supabase.opening import Opened
from services.storage.backends.supabase.uploads import PART_BYTES
from tests.conftest import MigratedPostgres
from tests.contract.makers_objects import (
    Project,
    simulated,
)
from tests.inprocess import someone
from waybill.runtime import identity
from waybill.sim.supabase.simulator import SupabaseSimulator

TENANT = "acme"
SMALL = b"small" * 1_000
LARGE = random.Random(7).randbytes(4 * PART_BYTES + 1_000_000)


@pytest.fixture(autouse=True)
def caller() -> Iterator[None]:
    """Every call is one tenant's."""
    with identity.acting_as(someone(TENANT)):
        yield


@pytest.fixture
async def at(database: MigratedPostgres) -> AsyncIterator[tuple[SupabaseSimulator, Project]]:
    """A simulated project, empty."""
    async with simulated(database) as both:
        yield both


def spec_of(content: bytes, key: str = "k") -> ObjectSpec:
    """What is said of a content."""
    return ObjectSpec(key, len(content), hashlib.sha256(content).hexdigest(), "text/plain")


async def put(backend: Opened, content: bytes, key: str = "k", tenant: str = TENANT) -> None:
    """Puts an object in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    await backend.store.put(tenant, spec_of(content, key), pieces())


async def read(backend: Opened, key: str = "k") -> bytes:
    """An object's bytes."""
    async with backend.store.open(TENANT, key) as reading:
        return b"".join([piece async for piece in reading.pieces])


async def swept(made: Project, backend: Opened) -> None:
    """All is due that will be, and what was given up then."""
    for _ in range(2):
        await made.make_due()
        await backend.sweeper.turn()
