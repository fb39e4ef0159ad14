"""A change-over waits for a publishing that is half done, and counts what it has published."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.contract.makers_storage import chunk, unit_vector
from tests.contract.test_collection_spaces import Bench, bench
from tests.contract.test_publish_fault import armed
from tests.waiting import until
from waybill.storage.v1.collection_space_pb2 import CollectionSpace

__all__ = ["armed", "bench"]


async def test_a_version_that_is_being_published_is_not_left_behind(bench: Bench, armed: Path) -> None:
    await bench.index.add("a.md", "one")
    await bench.filled()
    version = (await bench.index.begin("b.md")).version_id
    await bench.index.put_chunks(version, chunk(0, "three"))
    await bench.index.put_vectors(version, {0: unit_vector(1)})
    await bench.call("MoveSearches", moving=True)
    await bench.claimed()
    (armed / "storage.publish.inside").write_text("delay 2")
    publishing = asyncio.create_task(bench.index.publish(version, 1))
    await until((armed / "storage.publish.inside.used").exists)
    answer = await bench.end()
    assert (answer.missing_chunks, answer.collection_space.state) == (1, CollectionSpace.STATE_FILLED)
    await publishing
    await bench.claimed()
    assert await bench.fill() == ["three"]
    assert (await bench.end()).collection_space.state == CollectionSpace.STATE_SWITCHED
