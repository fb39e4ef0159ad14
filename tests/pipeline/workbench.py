"""What tests of the whole stack do again and again: ingest, kill, wait, and read what is there."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.conftest import open_folder
from tests.waiting import eventually
from waybill.client import Client, connect
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.orchestrator.v1.span_pb2 import Span
from waybill.runtime.errors import ServiceError
from waybill.settings import HOME
from waybill.sim.remote import Remote
from waybill.stack import operate, state
from waybill.stack.home import Home
from waybill.stack.postgres import Postgres
from waybill.stack.process import Process
from waybill.vendors.registry import Vendor

# Of each test of schedules: so many seeds, or from one up to another: "300", "60:120".
SEEDS = range(*map(int, os.environ.get("WAYBILL_KILL_SEEDS", "10").split(":")))
FAULTS = "faults"
# Every fault point that a run passes.
POINTS = (
    "orchestrator.step.parse.start",
    "orchestrator.step.chunk.start",
    "orchestrator.step.embed.start",
    "orchestrator.step.publish.start",
    "orchestrator.commit.before",
    "orchestrator.commit.after",
    "storage.commit.before",
    "storage.commit.after",
    "storage.publish.inside",
    "parser.call.parse.before",
    "parser.call.parse.after",
    "parser.parse.under_way",
    "parser.parse.done",
    "parser.commit.before",
    "parser.commit.after",
    "embedder.call.embed.before",
    "embedder.call.embed.after",
    "embedder.embed.under_way",
    "embedder.embed.done",
    "ledger.commit.before",
    "ledger.commit.after",
)


def refusal(call: Callable[[], object]) -> ServiceError:
    """What a call is refused with. An answer that comes before all is sent may be lost: then once more."""
    while True:
        with pytest.raises(ServiceError) as caught:
            call()
        if caught.value.reason != "ANSWER_LOST":
            return caught.value


@contextmanager
def started(home: Home, mode: str = "local", **environment: str) -> Iterator[Home]:
    """A stack on free ports for the length of the block, its programs with this in their environment."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        operate.up(home, "free", mode)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    try:
        yield home
    finally:
        operate.down(home)


@contextmanager
def own_stack(factory: pytest.TempPathFactory, mode: str = "local", **environment: str) -> Iterator[Home]:
    """A stack in a folder of its own, in which faults can be armed."""
    home = Home(open_folder(factory) / "a stack")
    (home.folder / FAULTS).mkdir(parents=True)
    with started(home, mode, WAYBILL_FAULTS=str(home.folder / FAULTS), **environment):
        yield home


def simulated(home: Home, vendor: Vendor) -> Remote:
    """A vendor of a stack in simulator mode, by its own door."""
    found = operate.running(home)
    assert found is not None
    base = f"http://{found.addresses[vendor.name]}{vendor.simulator_path}"
    return Remote(base, f"http://{found.addresses[vendor.control]}", vendor.simulator_key)


@dataclass(frozen=True)
class Workbench:
    """A stack, and a tenant of it.

    Args:
        home: The stack's state folder.
        tenant: Whose client it is.
        client: Calls the services.
        folder: Where the test's own files are.
    """

    home: Home
    tenant: str
    client: Client
    folder: Path

    @classmethod
    @contextmanager
    def of(cls, home: Home, tenant: str, folder: Path) -> Iterator[Self]:
        """Opens a client for a tenant."""
        found = operate.running(home)
        assert found is not None
        with connect(found.addresses, tenant=tenant, environ={HOME.name: str(home.folder)}) as client:
            yield cls(home, tenant, client, folder)

    def as_tenant(self, tenant: str) -> Any:
        """The same stack, seen by another tenant."""
        return Workbench.of(self.home, tenant, self.folder)

    def file(self, name: str, content: bytes) -> Path:
        """A file to ingest."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def finish(self, run_id: str) -> Run:
        """Waits for a run's end."""
        *_, last = self.client.watch(run_id)
        return last

    def ingest(self, path: Path) -> Run:
        """Ingests a file and waits for the end of its run."""
        return self.finish(self.client.ingest(path).run_id)

    def reach(self, run_id: str, step: str) -> None:
        """Waits until a run is at a step, or past it."""
        order = ["store", "parse", "chunk", "batch", "embed", "publish"]
        for run in self.client.watch(run_id):
            if order.index(run.step) >= order.index(step):
                return

    def kill(self, name: str) -> int:
        """kill -9 of a program, as soon as it runs; answers its pid."""
        eventually(lambda: self._program(name).alive(), f"{name} runs")
        pid = self._program(name).pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def _program(self, name: str) -> Process:
        found = state.read(self.home)
        assert found is not None
        return found.programs[name].process

    def arm(self, point: str, action: str) -> None:
        """Arms a fault: `<service>.<point>`, and what happens there; see `waybill.runtime.faults`.

        It is there as a whole at once: who passes the point meanwhile would take half of it for nothing.
        """
        file = self.home.folder / FAULTS / point
        self.release(point)
        beside = file.with_name(f"{point}.new")
        beside.write_text(action)
        beside.replace(file)

    def release(self, point: str) -> None:
        """Lets what is held at a point go on; it counts as not used any more."""
        self._used(point).unlink(missing_ok=True)

    def used(self, point: str) -> bool:
        """Whether an armed fault has struck."""
        return self._used(point).exists()

    def _used(self, point: str) -> Path:
        return self.home.folder / FAULTS / f"{point}.used"

    def journal(self, run_id: str) -> list[dict[str, Any]]:
        """What the local engines noted for a run, in their own count."""
        files = sorted((self.home.folder / FAULTS).glob("*.journal"))
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [line for line in lines if line["run_id"] == run_id]

    def disarm(self) -> None:
        """Takes back every fault, used or not."""
        for file in (self.home.folder / FAULTS).glob("*"):
            if file.suffix != ".journal":
                file.unlink(missing_ok=True)

    def all_serving(self) -> bool:
        """Whether every program of the stack works."""
        return operate.status(self.home).serving

    def entries(self, run_id: str) -> Sequence[Entry]:
        """The ledger's rows of a run."""
        request = ListEntriesRequest(run_ids=[run_id], page_size=1000)
        return list(self.client.ledger.ListEntries(request).entries)

    def trace(self, run_id: str) -> Sequence[Span]:
        """The spans of a run."""
        return list(self.client.orchestrator.GetTrace(GetTraceRequest(run_id=run_id)).traces[0].spans)

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """What is in the database, past row-level security."""
        found = state.read(self.home)
        assert found is not None
        with psycopg.connect(operate.admin_url(self.home, found), row_factory=dict_row) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def change(self, statements: str) -> None:
        """Changes the database as its administrator."""
        found = state.read(self.home)
        assert found is not None
        with psycopg.connect(operate.admin_url(self.home, found)) as connection:
            connection.execute(statements.encode())

    def database_url(self, service: str) -> str:
        """What the service gets as WAYBILL_DATABASE_URL."""
        found = state.read(self.home)
        assert found is not None
        role = f"waybill_{service}"
        server = Postgres(self.home.postgres, int(found.addresses["postgres"].rpartition(":")[2]), "")
        return server.url(role, self.home.passwords()[role])

    def indexed(self) -> list[dict[str, Any]]:
        """The tenant's published chunks with their vectors, in order."""
        return self.rows(
            "select d.document_key, c.ordinal, c.sha256, c.text, c.heading, c.page, v.e::text as vector"
            " from waybill_index.documents d"
            " join waybill_index.chunks c on c.version_id = d.current_version_id"
            " left join waybill_index.vectors v on (v.version_id, v.ordinal) = (c.version_id, c.ordinal)"
            " where d.tenant = %s order by d.document_key, c.ordinal",
            self.tenant,
        )
