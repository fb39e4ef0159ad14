"""What one large object costs the storage service: seconds, and how its memory grows, up and down.

Each backend in a process of its own; the bucket is a simulated one, in this process.

python -m bench.objects [--mb 512]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import grpc

from bench.processes import peak_mb
from evals.database import Urls, migrated
from waybill.sim.supabase.settings import SupabaseSettings
from waybill.sim.supabase.simulator import simulator
from waybill.sim.threaded import threaded
from waybill.stack.ports import free_ports
from waybill.storage.v1 import object_storage_service_pb2 as pb
from waybill.storage.v1 import object_storage_service_pb2_grpc as rpc
from waybill.vendors.registry import SUPABASE

PIECE = bytes(1_000_000)
MB = 1_000_000
# Before the large one, so that what a first object loads is not counted.
WARM_MB = (1, 64)


def main() -> None:
    """Prints a line a backend and a way."""
    parser = argparse.ArgumentParser(prog="python -m bench.objects", description=__doc__)
    parser.add_argument("--mb", type=int, default=512)
    size_mb = parser.parse_args().mb
    print(f"{'backend':<10}{'way':<6}{'MB':>6}{'seconds':>9}{'MB/s':>7}{'growth of the peak, MB':>24}")
    with (
        migrated() as urls,
        threaded(simulator(SupabaseSettings(latency_seconds=0)), SUPABASE.simulator_key) as at,
    ):
        vendor = {"SUPABASE_URL": at.base_url, "SUPABASE_KEY": at.key}
        for backend, settings in (("local", {}), ("supabase", vendor)):
            with _storage(urls, backend, settings) as (pid, address):
                asyncio.run(_measure(backend, pid, address, size_mb))


@contextmanager
def _storage(urls: Urls, backend: str, settings: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with tempfile.TemporaryDirectory() as folder:
        environ = (
            os.environ
            | settings
            | {
                "WAYBILL_BIND": address,
                "WAYBILL_DATABASE_URL": urls.storage,
                "WAYBILL_OWNER_DATABASE_URL": urls.owner,
                "WAYBILL_OBJECTS_DIR": str(Path(folder) / "objects"),
                "STORAGE_BACKEND": backend,
            }
        )
        child = subprocess.Popen(
            [sys.executable, "-m", "services.storage"], env=environ, stderr=subprocess.DEVNULL
        )
        try:
            yield child.pid, address
        finally:
            child.terminate()
            child.wait()


async def _measure(backend: str, pid: int, address: str, size_mb: int) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: rpc.ObjectStorageServiceAsyncStub = rpc.ObjectStorageServiceStub(channel)
        for warm_mb in WARM_MB:
            await _up(stub, warm_mb)
            await _down(stub, warm_mb)
        before = peak_mb(pid)
        for way, move in (("up", _up), ("down", _down)):
            began = time.perf_counter()
            await move(stub, size_mb)
            seconds = time.perf_counter() - began
            growth = peak_mb(pid) - before
            print(f"{backend:<10}{way:<6}{size_mb:>6}{seconds:>9.1f}{size_mb / seconds:>7.0f}{growth:>24.1f}")


async def _up(stub: rpc.ObjectStorageServiceAsyncStub, size_mb: int) -> None:
    digest = hashlib.sha256()
    for _ in range(size_mb):
        digest.update(PIECE)

    async def sent() -> AsyncIterator[pb.PutObjectRequest]:
        header = pb.PutObjectRequest.Header(
            key=f"{size_mb}.bin", size_bytes=size_mb * MB, sha256=digest.hexdigest()
        )
        yield pb.PutObjectRequest(header=header)
        for _ in range(size_mb):
            yield pb.PutObjectRequest(data=PIECE)

    await stub.PutObject(sent(), wait_for_ready=True)


async def _down(stub: rpc.ObjectStorageServiceAsyncStub, size_mb: int) -> None:
    got_bytes = 0
    async for answer in stub.GetObject(pb.GetObjectRequest(key=f"{size_mb}.bin")):
        got_bytes += len(answer.data)
    if got_bytes != size_mb * MB:
        raise RuntimeError(f"{got_bytes} bytes came back of {size_mb * MB}")


if __name__ == "__main__":
    main()
