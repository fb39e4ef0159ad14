"""A parse that takes a vendor long: its run waits, and holds no place.

Services in this process, the parser with an engine that keeps its parses; orchestrators are processes of
their own, which are killed.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import psycopg
import pytest

from services.parser.backends.port import Order, Parse, Source, Stage
from services.parser.pages import Artifact, Page
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import RemoteEngine
from tests.contract.makers_services import Vendors, all_but_orchestrator
from tests.inprocess import channel, someone
from tests.waiting import until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunRequest,
    GetRunRequest,
    IngestRequest,
    RetryRunRequest,
)
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime import identity
from waybill.runtime.channel import send
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wire import timestamp
from waybill.stack.ports import free_ports
from waybill.stack.table import MODULE, serving

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub
    from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
WAITING, READY = Run.STATE_WAITING_ON_VENDOR, Run.STATE_READY
PLACES, LOOK_SECONDS = 2, 0.5
Process: TypeAlias = "subprocess.Popen[bytes]"


class Vendor(RemoteEngine):
    """A vendor that has ended no parse until it is told to; text that says "at once" is not its business.

    Attributes:
        done: Whether its parses have ended.
        refuses: Whether they end in an error of the document's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.done = self.refuses = False

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        text = "\f".join(self._texts(source))
        if "at once" not in text:
            return replace(await super().begin(source, order, artifact), look_in_seconds=LOOK_SECONDS)
        artifact.append(Page(1, text))
        artifact.finish("text")
        return Parse("", Stage.ENDED)

    async def look(self, parse_id: str) -> Parse:
        one = self.kept(parse_id)
        if self.done and one.charged_pages is None:
            one.charged_pages = len(one.texts)
        return replace(one.told(), look_in_seconds=LOOK_SECONDS)

    async def collect(self, parse_id: str, order: Order, artifact: Artifact) -> None:
        if self.refuses:
            raise InvalidRequest("PDF_IS_BROKEN", "Look at the file.")
        await super().collect(parse_id, order, artifact)


@dataclass
class House:
    """All services, and as many orchestrators as a test starts."""

    database: MigratedPostgres
    vendor: Vendor
    at: dict[str, str]
    ledger: LedgerServiceAsyncStub
    stack: AsyncExitStack
    tenant: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:12]}")

    async def orchestrator(
        self, name: str = "one", places: int = PLACES
    ) -> tuple[OrchestratorServiceAsyncStub, subprocess.Popen[bytes]]:
        """Starts one, which has so many places for runs, and waits until it serves."""
        address = f"127.0.0.1:{free_ports(1)[0]}"
        addresses = {f"WAYBILL_{service.upper()}_ADDRESS": where for service, where in self.at.items()}
        environment = os.environ | addresses | {
            "WAYBILL_BIND": address,
            "WAYBILL_DATABASE_URL": self.database.url("orchestrator"),
            "WAYBILL_OWNER_DATABASE_URL": self.database.owner_url("orchestrator"),
            "WAYBILL_EXECUTOR_ID": name,
            "WAYBILL_RUNS_IN_FLIGHT": str(places),
        }  # fmt: skip
        process = _begin(environment)
        self.stack.callback(_end, process)

        async def serves() -> bool:
            assert process.poll() is None, "it has ended"
            return await asyncio.to_thread(serving, address)

        await until(serves)
        opened = await self.stack.enter_async_context(channel(address))
        return OrchestratorServiceStub(opened), process

    async def entries(self, run_ids: Sequence[str], operation: str = "parse") -> list[Entry]:
        """What was bought for runs."""
        answer = await self.ledger.ListEntries(ListEntriesRequest(run_ids=run_ids, page_size=1000))
        return [entry for entry in answer.entries if entry.operation == operation]


def _begin(environment: Mapping[str, str]) -> Process:
    return subprocess.Popen([*MODULE, "services.orchestrator"], env=environment)


def _end(process: Process) -> None:
    process.kill()
    process.wait()


@pytest.fixture
async def house(database: MigratedPostgres, tmp_path: Path) -> AsyncIterator[House]:
    vendor = Vendor()
    async with (
        all_but_orchestrator(database, tmp_path, vendors=Vendors(engine=vendor)) as at,
        channel(at["ledger"]) as to_ledger,
        AsyncExitStack() as stack,
    ):
        made = House(database, vendor, dict(at), LedgerServiceStub(to_ledger), stack)
        with identity.acting_as(someone(made.tenant)):
            yield made


async def ingested(
    stub: OrchestratorServiceAsyncStub, key: str, complete_by: datetime.datetime | None = None, text: str = ""
) -> str:
    """A document of its own text; its run."""
    content = (text or f"Tides of {uuid.uuid4()}.").encode()
    header = IngestRequest.Header(
        document_key=key,
        filename=key,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        complete_by=timestamp(complete_by) if complete_by else None,
    )

    async def messages() -> AsyncIterator[IngestRequest]:
        yield IngestRequest(header=header)
        yield IngestRequest(data=content)

    return str((await send(stub.Ingest(), messages())).run.run_id)


async def look(stub: OrchestratorServiceAsyncStub, run_id: str) -> Run:
    return (await stub.GetRun(GetRunRequest(run_id=run_id))).run


async def come_to(stub: OrchestratorServiceAsyncStub, state: Run.State, *run_ids: str) -> None:
    """Waits until runs are in a state."""

    async def there() -> bool:
        return all([(await look(stub, run_id)).state == state for run_id in run_ids])

    await until(there)


async def test_many_wait_at_a_vendor_and_a_text_beside_them_is_ready(house: House) -> None:
    stub, _ = await house.orchestrator()
    waiting = [await ingested(stub, f"{number}.pdf") for number in range(20)]
    await come_to(stub, WAITING, *waiting)
    assert (await look(stub, waiting[0])).step == "parse"
    beside = await ingested(stub, "now.txt", text=f"at once {uuid.uuid4()}")
    await come_to(stub, READY, beside)
    assert {(await look(stub, run_id)).state for run_id in waiting} == {WAITING}, "more than there are places"
    house.vendor.done = True
    await come_to(stub, READY, *waiting)
    assert [entry.state for entry in await house.entries(waiting)] == [Entry.STATE_SETTLED] * 20
    assert {(await look(stub, run_id)).starts for run_id in waiting} == {1}, "a wait is no suspicion"


async def test_an_orchestrator_that_is_killed_while_runs_wait_goes_on_with_them(house: House) -> None:
    stub, process = await house.orchestrator()
    waiting = [await ingested(stub, f"{number}.pdf") for number in range(4)]
    await come_to(stub, WAITING, *waiting)
    _end(process)
    house.vendor.done = True
    stub, _ = await house.orchestrator()
    await come_to(stub, READY, *waiting)
    assert [entry.state for entry in await house.entries(waiting)] == [Entry.STATE_SETTLED] * 4


async def test_another_orchestrator_wakes_what_a_dead_one_has_let_wait(house: House) -> None:
    stub, process = await house.orchestrator()
    run_id = await ingested(stub, "a.pdf")
    await come_to(stub, WAITING, run_id)
    other, _ = await house.orchestrator("two")
    _end(process)
    house.vendor.done = True
    await come_to(other, READY, run_id)


async def test_cancelling_a_run_that_waits_ends_its_parse_at_the_vendor(house: House) -> None:
    stub, _ = await house.orchestrator()
    run_id = await ingested(stub, "a.pdf")
    await come_to(stub, WAITING, run_id)
    await stub.CancelRun(CancelRunRequest(run_id=run_id))
    assert (await look(stub, run_id)).state == Run.STATE_CANCELLED
    (begun,) = house.vendor.begun.values()
    assert begun.charged_pages == 0
    assert [entry.state for entry in await house.entries([run_id])] == [Entry.STATE_RELEASED]
    # And taken up again, it is parsed anew.
    house.vendor.begun.clear()
    await stub.RetryRun(RetryRunRequest(run_id=run_id))
    await come_to(stub, WAITING, run_id)
    house.vendor.done = True
    await come_to(stub, READY, run_id)


async def test_a_run_that_waits_beyond_its_time_expires_and_its_parse_is_ended(house: House) -> None:
    stub, _ = await house.orchestrator()
    in_an_hour = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    run_id = await ingested(stub, "a.pdf", in_an_hour)
    await come_to(stub, WAITING, run_id)
    # It has come to wait, however long that took: the hour is over.
    query = "update waybill_runs.runs set complete_by = now() where run_id = %s"
    with psycopg.connect(house.database.admin_url) as connection:
        connection.execute(query, [run_id])
    await come_to(stub, Run.STATE_EXPIRED, run_id)
    (begun,) = house.vendor.begun.values()
    assert begun.charged_pages == 0


async def test_a_parse_that_fails_at_the_vendor_fails_its_run_and_is_not_bought_again(house: House) -> None:
    stub, _ = await house.orchestrator()
    run_id = await ingested(stub, "a.pdf")
    await come_to(stub, WAITING, run_id)
    house.vendor.refuses = house.vendor.done = True
    await come_to(stub, Run.STATE_FAILED, run_id)
    assert (await look(stub, run_id)).reason == "PDF_IS_BROKEN"
    assert len(house.vendor.begun) == 1


async def test_two_documents_of_one_content_wait_for_one_parse(house: House) -> None:
    stub, _ = await house.orchestrator()
    text = f"Shared {uuid.uuid4()}."
    waiting = [await ingested(stub, f"{number}.pdf", text=text) for number in range(2)]
    await come_to(stub, WAITING, *waiting)
    # What is cancelled for one of them is made again for the other.
    house.vendor.begun.clear()
    await stub.CancelRun(CancelRunRequest(run_id=waiting[0]))
    house.vendor.done = True
    await come_to(stub, READY, waiting[1])


async def test_a_content_sent_to_two_orchestrators_at_once_is_made_once_and_paid_once(house: House) -> None:
    stubs = [(await house.orchestrator(name, places=1))[0] for name in ("one", "two")]
    for number in range(6):
        text = f"at once {uuid.uuid4()}"
        sent = [ingested(stub, f"{number}.txt", text=text) for stub in stubs]
        run_ids = await asyncio.gather(*sent)

        async def ended(run_ids: Sequence[str] = run_ids) -> bool:
            states = [(await look(stubs[0], run_id)).state for run_id in run_ids]
            return sorted(states) == [READY, Run.STATE_UNCHANGED]

        await until(ended)
        assert len(await house.entries(run_ids, "embed")) == 1
