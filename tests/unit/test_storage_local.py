"""Files on disk: what is left over, and what the disk refuses."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from services.storage.backends.local import INCOMING, LocalObjects, disk_faults
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
