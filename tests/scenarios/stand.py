"""A stack in one mode, seen by a tenant that only one scenario has, and what scenarios ask of it."""

from __future__ import annotations

import http.client
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from google.protobuf.duration_pb2 import Duration

from tests.contract.makers_storage import messages
from tests.pipeline.workbench import Workbench, simulated
from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.cli.checks.every import CHECKS
from waybill.cli.checks.finding import Finding
from waybill.cli.doctor import settings_in_force
from waybill.client import connect
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.object_keys import source_key
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import CreateParseJobRequest, GetParseJobRequest
from waybill.settings import HOME
from waybill.sim.journal import Entry as Line
from waybill.sim.remote import Remote
from waybill.stack import operate, probe
from waybill.stack.home import Home
from waybill.storage.v1 import object_storage_service_pb2 as storage_pb
from waybill.storage.v1.link_pb2 import Link
from waybill.storage.v1.object_pb2 import Object
from waybill.vendors.registry import VENDORS

LOCAL, SIMULATOR, LIVE = "local", "simulator", "live"
ENDED = (ParseJob.STATE_SUCCEEDED, ParseJob.STATE_FAILED, ParseJob.STATE_CANCELLED)
VENDOR = {vendor.service: vendor for vendor in VENDORS}


@dataclass(frozen=True)
class Embedded:
    """Vectors in the texts' order, and what they took."""

    vectors: npt.NDArray[np.float32]
    model: str
    tokens: int
    entry_ids: Sequence[str]


@dataclass(frozen=True)
class Answer:
    """Of an HTTP server."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Stand:
    """Where a scenario stands.

    Attributes:
        mode: LOCAL, SIMULATOR or LIVE.
        bench: The stack, seen by the scenario's own tenant.
        correlation_id: Labels each of its calls.
        vendors: The simulators by service; in SIMULATOR alone.
        latencies: Seconds that each of them takes for an answer.
        patience_seconds: How long a call may take.
    """

    mode: str
    bench: Workbench
    correlation_id: str
    vendors: Mapping[str, Remote]
    latencies: Mapping[str, float]
    patience_seconds: float

    @property
    def simulated(self) -> bool:
        """Whether vendors can be broken, and their books read."""
        return self.mode == SIMULATOR

    def backend(self, service: str) -> str:
        """The backend's name, in health and in the ledger."""
        return "local" if self.mode == LOCAL else VENDOR[service].name

    # What is asked of the services

    def put(self, key: str, content: bytes, **about: object) -> Object:
        """Stores an object."""
        sent = cast(Iterator[storage_pb.PutObjectRequest], messages(key, content, **about))
        return self.bench.client.storage.PutObject(sent).object

    def get(self, key: str) -> bytes:
        """An object's bytes."""
        answers = self.bench.client.storage.GetObject(storage_pb.GetObjectRequest(key=key))
        return b"".join(answer.data for answer in answers if answer.WhichOneof("part") == "data")

    def stat(self, key: str) -> Object:
        """What is known of an object."""
        return self.bench.client.storage.StatObject(storage_pb.StatObjectRequest(key=key)).object

    def link(self, key: str, seconds: int) -> Link:
        """A link by which to get an object."""
        request = storage_pb.SignDownloadRequest(key=key, life=Duration(seconds=seconds))
        return self.bench.client.storage.SignDownload(request).link

    def parse(self, name: str, content: bytes) -> ParseJob:
        """Stores a file, parses it, and waits for the job's end."""
        stored = self.put(key := source_key(sha256_of(content)), content)
        request = CreateParseJobRequest(
            source_key=key,
            source_sha256=stored.sha256,
            filename=name,
            source_size_bytes=len(content),
            wait=Duration(seconds=2),
        )
        job = self.bench.client.parser.CreateParseJob(request).job
        ends_at = time.monotonic() + self.patience_seconds
        while job.state not in ENDED:
            assert time.monotonic() < ends_at, f"the parse goes on: {job}"
            ask = GetParseJobRequest(job_id=job.job_id, wait=Duration(seconds=2))
            job = self.bench.client.parser.GetParseJob(ask).job
        return job

    def pages(self, job: ParseJob) -> Sequence[str]:
        """The Markdown of a parsed document's pages."""
        rows = [json.loads(line) for line in self.get(job.result_key).splitlines()]
        return [row["markdown"] for row in rows if "markdown" in row]

    def embed(self, *texts: str) -> Embedded:
        """Vectors of texts."""
        vectors: dict[int, npt.NDArray[np.float32]] = {}
        model, tokens, entry_ids = "", 0, list[str]()
        for answer in self.bench.client.embedder.Embed(EmbedRequest(texts=texts)):
            model = answer.space.model or model
            tokens += answer.usage.tokens
            entry_ids += answer.usage.entry_ids
            vectors |= {one.index: np.frombuffer(one.values, "<f4") for one in answer.embeddings}
        return Embedded(np.stack([vectors[n] for n in range(len(texts))]), model, tokens, entry_ids)

    def run(self, name: str, content: bytes) -> Run:
        """Ingests a document and waits for its run, which must be READY."""
        run = self.bench.ingest(self.bench.file(name, content))
        assert run.state == Run.STATE_READY, (run.reason, run.message)
        return run

    def entries(self) -> Sequence[Entry]:
        """Each row of the ledger that this scenario made."""
        request = ListEntriesRequest(correlation_id=self.correlation_id, page_size=1000)
        return list(self.bench.client.ledger.ListEntries(request).entries)

    # How the stack and its vendors are

    def health(self, service: str, part: str = "") -> str:
        """What the service says of its backend, or of a part of it such as `credential`."""
        name = f"{service}/{self.backend(service)}{part and '/'}{part}"
        return probe.check(self._address(service), name, PATIENCE_SECONDS)

    def doctor(self, service: str) -> Mapping[str, Finding]:
        """What `waybill doctor` finds of the service's vendor, by check."""
        found = operate.running(self.bench.home)
        check = CHECKS[VENDORS.index(VENDOR[service])]
        findings = check.findings(settings_in_force(found, os.environ))
        return {one.check.removeprefix(f"{VENDOR[service].name} "): one for one in findings}

    def asked(self, service: str, since: int, operation: str = "") -> Sequence[Line]:
        """What the vendor was asked since its journal had so many lines."""
        lines = self.vendors[service].journal[since:]
        begins = operation and f"{operation}."
        return [line for line in lines if f"{line.operation}.".startswith(begins)]

    def seen(self, service: str) -> int:
        """How many lines the vendor's journal has; 0 where there is none."""
        return len(self.vendors[service].journal) if self.simulated else 0

    def invoiced(self) -> int:
        """What all vendors ask for until now, nano-USD."""
        return sum(vendor.invoice.total_nano_usd for vendor in self.vendors.values())

    @contextmanager
    def faulty(self, service: str, faults: str) -> Iterator[None]:
        """A vendor that breaks so in the block."""
        self.vendors[service].faults.add(faults)
        try:
            yield
        finally:
            self.vendors[service].faults.heal()

    @contextmanager
    def bad_key(self, service: str) -> Iterator[None]:
        """A vendor that refuses our key in the block; its health is as before when it is left."""
        keys, key = self.vendors[service].keys, VENDOR[service].simulator_key
        keys.revoke(key)
        try:
            yield
        finally:
            keys.add(key)
            eventually(lambda: self.health(service) == probe.SERVING, f"{service} takes its key again")

    def ask_vendor(self, service: str, path: str) -> Any:
        """The vendor's own answer to a GET, past ours."""
        key = VENDOR[service].simulator_key
        base = self.vendors[service].base_url.removesuffix(VENDOR[service].simulator_path)
        answer = fetch(f"{base}{path}", {"apikey": key, "Authorization": f"Bearer {key}"})
        assert answer.status == 200, answer
        return answer.body if path.startswith("/storage/v1/object") else json.loads(answer.body)

    def _address(self, service: str) -> str:
        found = operate.running(self.bench.home)
        assert found is not None
        return found.addresses[service]


def sha256_of(content: bytes) -> str:
    """In hex."""
    return messages("k", content)[0].header.sha256


def fetch(url: str, headers: Mapping[str, str] = {}) -> Answer:
    """A GET by a client that knows nothing of us."""
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.netloc, timeout=30)
    try:
        connection.request("GET", f"{place.path}?{place.query}", headers=dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, answer.read())
    finally:
        connection.close()


@contextmanager
def standing(
    home: Home,
    mode: str,
    folder: Path,
    latencies: Mapping[str, float],
    patience_seconds: float = PATIENCE_SECONDS,
) -> Iterator[Stand]:
    """A tenant of its own on a running stack, whose simulators are set to latencies and to nothing else."""
    vendors = {service: simulated(home, VENDOR[service]) for service in latencies}
    for service, seconds in latencies.items():
        vendors[service].faults.heal()
        vendors[service].delay(seconds)
    found = operate.running(home)
    assert found is not None
    name = uuid.uuid4().hex[:12]
    correlation_id, environ = f"scenario-{name}", {HOME.name: str(home.folder)}
    with connect(
        found.addresses,
        tenant=f"s{name}",
        correlation_id=correlation_id,
        deadline_seconds=patience_seconds,
        environ=environ,
    ) as client:
        bench = Workbench(home, f"s{name}", client, folder)
        yield Stand(mode, bench, correlation_id, vendors, latencies, patience_seconds)
