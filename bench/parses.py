"""The parser against the simulated LlamaCloud at the free plan's rate: how long 200 documents take.

The vendor goes SPEED times as fast as it is, and allows as many more requests a minute, so that half an hour
is some minutes; the parser's own pauses are as they are.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from waybill.client import Client, connect
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import CreateParseJobRequest, GetParseJobRequest
from waybill.sim.journal import Entry
from waybill.sim.remote import Remote
from waybill.stack import operate
from waybill.stack.home import Home
from waybill.storage.v1.object_storage_service_pb2 import PutObjectRequest
from waybill.vendors.registry import LLAMAPARSE

DOCUMENTS, PAGES = 200, 10
SPEED = 10
REQUESTS_PER_MINUTE = 20 * SPEED
QUEUED_SECONDS, PAGE_SECONDS, BILLED_SECONDS = 1.0 / SPEED, 0.2 / SPEED, 5.0 / SPEED
# The file, the job, its result; the file and the job deleted.
FEWEST_TO_RESULT, FEWEST = 3, 5
CALLERS = 16
LOOK_SECONDS = 1.0
CLOSED_SECONDS = 600.0


def parses() -> str:
    """Its row."""
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as folder:
        Path(folder).chmod(0o711)
        home = Home(Path(folder) / "stack")
        os.environ["LLAMA_CLOUD_REQUESTS_PER_MINUTE"] = str(REQUESTS_PER_MINUTE)
        where = operate.up(home, "free", "simulator").addresses
        try:
            vendor = Remote(
                f"http://{where[LLAMAPARSE.name]}",
                f"http://{where[LLAMAPARSE.control]}",
                LLAMAPARSE.simulator_key,
            )
            vendor.limit(requests_per_minute=REQUESTS_PER_MINUTE)
            vendor.change(
                "/jobs",
                queued_seconds=QUEUED_SECONDS,
                page_seconds=PAGE_SECONDS,
                billed_seconds=BILLED_SECONDS,
            )
            with connect(where, environ={}) as client:
                return _measured(client, vendor)
        finally:
            operate.down(home)


def _measured(client: Client, vendor: Remote) -> str:
    seen, began = len(vendor.journal), time.monotonic()
    with ThreadPoolExecutor(CALLERS) as pool:
        jobs = list(pool.map(lambda number: _create(client, number), range(DOCUMENTS)))
        states = Counter(pool.map(lambda job_id: _final(client, job_id), jobs))
    wall = time.monotonic() - began
    lines = _until_closed(vendor, seen)
    statuses = Counter(str(line.status) for line in lines)
    return (
        f"{'parses':<8} wall {wall:6.1f} s to the last result: {wall / _least(FEWEST):.3f} × the least for"
        f" {FEWEST} requests a job, {wall / _least(FEWEST_TO_RESULT):.3f} × for {FEWEST_TO_RESULT};"
        f" sent {len(lines) / DOCUMENTS:.2f} a job; {_told(statuses)};"
        f" {_told(Counter(line.operation for line in lines))}; {_told(states)}"
    )


def _least(requests: int) -> float:
    """Seconds for so many requests a document at the rate, the bucket full at first."""
    return (requests * DOCUMENTS - REQUESTS_PER_MINUTE) / REQUESTS_PER_MINUTE * 60


def _create(client: Client, number: int) -> str:
    content = "\f".join([f"Page of {number} {uuid.uuid4()}"] * PAGES).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    key = f"sources/{sha256}"
    header = PutObjectRequest.Header(key=key, size_bytes=len(content), sha256=sha256)
    client.storage.PutObject(iter([PutObjectRequest(header=header), PutObjectRequest(data=content)]))
    request = CreateParseJobRequest(source_key=key, source_sha256=sha256, filename=f"{number}.html")
    return client.parser.CreateParseJob(request).job.job_id


def _final(client: Client, job_id: str) -> str:
    while True:
        job = client.parser.GetParseJob(GetParseJobRequest(job_id=job_id), timeout=60).job
        if job.state not in (ParseJob.STATE_QUEUED, ParseJob.STATE_RUNNING):
            return ParseJob.State.Name(job.state).removeprefix("STATE_")
        threading.Event().wait(LOOK_SECONDS)


def _until_closed(vendor: Remote, seen: int) -> list[Entry]:
    """What was asked until nothing is left at the vendor."""
    ends_at = time.monotonic() + CLOSED_SECONDS
    while time.monotonic() < ends_at:
        lines = [line for line in vendor.journal[seen:] if line.operation != "projects.list"]
        if sum(line.operation == "parse.delete" and line.status == 200 for line in lines) >= DOCUMENTS:
            break
        threading.Event().wait(LOOK_SECONDS)
    return lines


def _told(counts: Counter[str]) -> str:
    return " ".join(f"{name}: {count}" for name, count in sorted(counts.items()))
