"""A parser process of its own needs little memory for a document of 200 MB: it is sent as it is read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import raw_pdfs
from tests.conftest import MigratedPostgres
from tests.contract.makers_llamacloud import KEY, quick
from tests.contract.makers_llamaparse import final
from tests.contract.makers_parser import Neighbours, a_run, job_request, neighbours
from tests.inprocess import channel
from tests.memory import forget_peak, peak_bytes
from tests.waiting import until
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceStub
from waybill.runtime import identity
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator, simulator
from waybill.stack import probe
from waybill.stack.ports import free_ports

CHECKOUT = Path(__file__).parents[2]
DOCUMENT_BYTES, MOST_GROWTH_BYTES = 200_000_000, 50_000_000
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak of a process's memory"),
]


@contextmanager
def parser_process(
    database: MigratedPostgres, near: Neighbours, sim: LlamaCloudSimulator
) -> Iterator[tuple[int, str]]:
    """A running `python -m services.parser`: its number and its address."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    environ = os.environ | {
        "WAYBILL_BIND": address,
        "WAYBILL_MODE": "simulator",
        "WAYBILL_DATABASE_URL": database.url("parser"),
        "WAYBILL_OWNER_DATABASE_URL": database.owner_url("parser"),
        "WAYBILL_STORAGE_ADDRESS": near.storage_address,
        "WAYBILL_LEDGER_ADDRESS": near.ledger_address,
        "LLAMA_CLOUD_BASE_URL": sim.base_url,
        "LLAMA_CLOUD_API_KEY": KEY,
    }
    child = subprocess.Popen([sys.executable, "-m", "services.parser"], cwd=CHECKOUT, env=environ)
    try:
        yield child.pid, address
    finally:
        child.kill()
        child.wait()


def a_pdf(size_bytes: int) -> bytes:
    """One page, beside an object of zeros."""
    page = raw_pdfs.stream(raw_pdfs.shown("The harbour's plans.", 72, 700))
    return raw_pdfs.document([page], more=[raw_pdfs.stream(bytes(size_bytes))])


async def test_a_document_of_200_mb_is_sent_in_little_memory(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with simulator(quick()) as sim, neighbours(database, tmp_path) as near:
        with parser_process(database, near, sim) as (pid, address), identity.acting_as(a_run()):

            async def serves() -> bool:
                return probe.check(address) == probe.SERVING

            await until(serves)
            async with channel(address) as opened:
                stub, peaks = ParserServiceStub(opened), []
                for size in (1_000, DOCUMENT_BYTES):
                    content = a_pdf(size)
                    key = await near.store(content)
                    forget_peak(pid)
                    job = (await stub.CreateParseJob(job_request(key, "plans.pdf", content))).job
                    assert (await final(stub, job.job_id)).state == ParseJob.STATE_SUCCEEDED
                    peaks.append(peak_bytes(pid))
            assert peaks[1] - peaks[0] < MOST_GROWTH_BYTES
