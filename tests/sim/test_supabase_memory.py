"""An object is never whole in the simulator's memory: it goes from socket to disk and back."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.memory import forget_peak, peak_bytes

SIZE, MOST_GROWTH = 64 * 2**20, 12 * 2**20
PIECE = bytes(range(256)) * 256
HEADERS = {"apikey": "sb_secret_test", "authorization": "Bearer sb_secret_test"}
ONE = "/storage/v1/object/waybill/t1/large"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak of a process's memory")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`waybill sim supabase`, and its address."""
    command = ("-m", "waybill.sim", "supabase", "--latency", "0ms", "--data", str(tmp_path), "--stop-on-eof")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, *command], stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin
        assert child.stdout
        try:
            yield child, child.stdout.readline().split()[1]
        finally:
            child.stdin.close()
            child.wait()


def test_64_mb_up_and_down_cost_little_memory(process: tuple[subprocess.Popen[str], str]) -> None:
    child, address = process

    def pieces() -> Iterator[bytes]:
        for _ in range(SIZE // len(PIECE)):
            yield PIECE

    with httpx.Client(base_url=address, headers=HEADERS, timeout=60) as http:
        assert http.post(f"{ONE}.small", content=PIECE).status_code == 200
        forget_peak(child.pid)
        before = peak_bytes(child.pid)
        assert http.post(ONE, content=pieces()).status_code == 200
        digest = hashlib.sha256()
        with http.stream("GET", ONE) as reply:
            for piece in reply.iter_raw():
                digest.update(piece)
        assert http.post(f"{ONE}.form", files={"file": ("a", b"".join(pieces()))}).status_code == 200
    assert digest.digest() == hashlib.sha256(PIECE * (SIZE // len(PIECE))).digest()
    assert peak_bytes(child.pid) - before < MOST_GROWTH
