"""Publishing that breaks between its two writes: nothing of it is seen, and it can be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.contract.makers_storage import Index, chunk, found, refused, unit_vector
from tests.contract.test_document_index import index
from waybill.runtime import faults

__all__ = ["index"]


@pytest.fixture
def armed(tmp_path: Path) -> Iterator[Path]:
    """The folder of this process's faults."""
    faults.arm("storage", tmp_path)
    yield tmp_path
    faults.arm("", None)


async def test_a_publishing_that_breaks_inside_leaves_the_old_version_whole_until_repeated(
    index: Index, armed: Path
) -> None:
    old = await index.add("a.md", "old harbour")
    new = (await index.begin("a.md", "new")).version_id
    await index.put_chunks(new, chunk(0, "new harbour"))
    await index.put_vectors(new, {0: unit_vector(1)})
    (armed / "storage.publish.inside").write_text("fail")
    async with refused("FAULT_INJECTED", grpc.StatusCode.UNAVAILABLE):
        await index.publish(new, 1)
    assert found(await index.search("harbour")) == ["old harbour"]
    assert (await index.publish(new, 1)).replaced_version_id == old
    assert found(await index.search("harbour")) == ["new harbour"]
