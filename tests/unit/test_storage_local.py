"""Files on disk: what is left over, and what the disk refuses."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.storage.backends.local import INCOMING, LocalObjects, disk_faults
from services.storage.backends.local_keys import Keys
from services.storage.backends.port import ObjectSpec, StoredObject
from waybill.runtime.errors import Unavailable


def local(root: Path) -> LocalObjects:
    return LocalObjects(root, lambda: datetime.datetime.now(datetime.UTC))


def test_a_start_drops_what_a_killed_process_left_unfinished(tmp_path: Path) -> None:
    local(tmp_path)
    (tmp_path / INCOMING / "half").write_bytes(b"half")
    local(tmp_path)
    assert list((tmp_path / INCOMING).iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the machine has no device that is always full")
def test_a_full_disk_is_a_typed_error_that_may_be_tried_again() -> None:
    with (
        pytest.raises(Unavailable, match="STORAGE_FULL"),
        disk_faults(),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")


def test_another_fault_of_the_disk_is_typed_too(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="STORAGE_UNAVAILABLE"), disk_faults():
        tmp_path.open("wb")


async def test_a_store_whose_folder_is_gone_is_not_healthy(tmp_path: Path) -> None:
    store = local(tmp_path)
    assert await store.healthy()
    (tmp_path / INCOMING).rmdir()
    assert not await store.healthy()


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def of(key: str, content: bytes, **metadata: str) -> ObjectSpec:
    return ObjectSpec(key, len(content), hashlib.sha256(content).hexdigest(), "text/plain", metadata)


async def content_of(store: LocalObjects, key: str) -> bytes:
    async with store.open("t", key) as reading:
        return b"".join([piece async for piece in reading.pieces])


async def test_a_file_from_before_there_was_metadata_is_an_object_like_any_other(tmp_path: Path) -> None:
    first = local(tmp_path)
    stored = await first.put("t", of("k", b"old"), once(b"old"))
    (path,) = files(tmp_path)
    header = json.dumps(["k", 3, stored.spec.sha256, "text/plain", "2026-11-24T12:00:00+00:00"]).encode()
    path.write_bytes(len(header).to_bytes(4, "big") + header + b"old")
    store, moment = local(tmp_path), datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)
    (found,) = await store.list("t", "", "", 10)
    assert found == await store.stat("t", "k") == StoredObject(of("k", b"old"), moment, moment)
    assert await content_of(store, "k") == b"old"
    updated = await store.update_metadata("t", "k", {"a": "1"})
    assert updated == await local(tmp_path).stat("t", "k")
    assert (updated.spec.metadata, updated.create_time) == ({"a": "1"}, moment)
    assert await store.delete("t", ["k"]) == {"k"}
    assert files(tmp_path) == []


async def test_metadata_that_a_kill_left_beside_another_put_is_not_the_objects(tmp_path: Path) -> None:
    store = local(tmp_path)
    await store.put("t", of("k", b"old"), once(b"old"))
    await store.update_metadata("t", "k", {"of": "old"})
    (beside,) = (path for path in files(tmp_path) if path.suffix == ".meta")
    left = beside.read_bytes()
    await store.put("t", of("k", b"new", of="new"), once(b"new"))
    beside.write_bytes(left)  # as a kill between both steps of the put leaves it
    assert (await store.stat("t", "k")).spec.metadata == {"of": "new"}
    assert [one.spec.key for one in await local(tmp_path).list("t", "", "", 10)] == ["k"]
    await store.update_metadata("t", "k", {"of": "newer"})
    assert (await store.stat("t", "k")).spec.metadata == {"of": "newer"}


async def test_a_listing_knows_what_changed_while_the_folder_was_read(tmp_path: Path) -> None:
    changed: list[tuple[str, bool]] = [("b", False), ("c", True), ("d", True), ("d", False)]

    def scan(tenant: str) -> list[str]:
        for key, there in changed:
            keys.changed(tenant, key, there)
        return ["a", "b", "d"]

    keys = Keys(scan)
    assert keys.behind("t", "", "", 10) == ["a", "c"]


async def test_a_listing_looks_at_the_folder_once_and_at_no_more_files_than_its_page_has(
    tmp_path: Path,
) -> None:
    store = local(tmp_path)
    for key in "abcdef":
        await store.put("t", of(key, b"x"), once(b"x"))
    assert [one.spec.key for one in await store.list("t", "", "", 1)] == ["a"]
    for path in files(tmp_path):  # what no page needs is not looked at
        if not any(name in path.read_bytes()[:20] for name in (b'"a"', b'"f"')):
            path.write_bytes(b"broken")
    assert [one.spec.key for one in await store.list("t", "", "", 1)] == ["a"]
    assert [one.spec.key for one in await store.list("t", "", "e", 5)] == ["f"]
