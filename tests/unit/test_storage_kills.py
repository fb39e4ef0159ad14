"""Files on disk after a kill -9: an object has content and metadata of one put, whole, whenever it came."""

from __future__ import annotations

import asyncio
import datetime
import signal
import subprocess
import sys
from pathlib import Path

from services.storage.backends.local import LocalObjects
from tests.waiting import eventually

CHECKOUT = Path(__file__).parents[2]
KILLS = 4
# Puts and updates one object without an end, and says so after each.
WRITER = """
import asyncio, datetime, hashlib, itertools, sys
from pathlib import Path
from services.storage.backends.local import LocalObjects
from services.storage.backends.port import ObjectSpec

async def main():
    store = LocalObjects(Path(sys.argv[1]), lambda: datetime.datetime.now(datetime.UTC))
    for number in itertools.count(int(sys.argv[2]) * 1_000_000):
        content = str(number).encode() * 1_000
        async def pieces():
            yield content
        spec = ObjectSpec("k", len(content), hashlib.sha256(content).hexdigest(), "x/y", {"of": str(number)})
        await store.put("t", spec, pieces())
        for again in ("1", "2"):
            await store.update_metadata("t", "k", {"of": str(number), "again": again * 5_000})
            print(number, flush=True)

asyncio.run(main())
"""


def killed(folder: Path, life: int, lines: int) -> None:
    """A writer that is killed in the midst of its work, after so many lines."""
    output = folder / f"said-{life}"
    with output.open("wb") as said:
        command = [sys.executable, "-c", WRITER, str(folder / "objects"), str(life)]
        writer = subprocess.Popen(command, stdout=said, cwd=CHECKOUT)
        try:
            eventually(lambda: output.read_bytes().count(b"\n") >= lines, "the writer writes")
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()


async def test_a_killed_writer_leaves_content_and_metadata_of_one_put(tmp_path: Path) -> None:
    seen = set()
    for life in range(KILLS):
        await asyncio.to_thread(killed, tmp_path, life, 10 + 7 * life)
        store = LocalObjects(tmp_path / "objects", lambda: datetime.datetime.now(datetime.UTC))
        (stored,) = await store.list("t", "", "", 10)
        async with store.open("t", "k") as reading:
            content = b"".join([piece async for piece in reading.pieces])
            assert reading.stored == stored
        number = stored.spec.metadata["of"]
        assert content == number.encode() * 1_000
        assert stored.spec.metadata.get("again", "1" * 5_000) in ("1" * 5_000, "2" * 5_000)
        seen.add(number)
    assert len(seen) == KILLS
