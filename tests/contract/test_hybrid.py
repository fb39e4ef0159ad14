"""Hybrid mode: what a vendor cannot do now is done without it, said, and healed under the same run."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.conftest import MigratedPostgres
from tests.contract.makers_embedder import KEY, SOON, at, failure
from tests.contract.makers_services import Vendors, everything
from tests.inprocess import channel
from waybill.common.v1.backend_pb2 import Mode
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.orchestrator.v1 import orchestrator_service_pb2 as pb
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime import semconv
from waybill.runtime.channel import send
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub
    from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

TEXT = "# Pumps\n\nThe bilge pump runs dry at noon.\n"
# More than one embedding request.
LONG = "\n\n".join(
    f"# Pump {n}\n\n" + f"Pump {n} runs dry at noon, says the log of day {n}. " * 60 for n in range(90)
)


@dataclass
class Bench:
    """A tenant's calls to the services, and the vendor."""

    tenant: str
    orchestrator: OrchestratorServiceAsyncStub
    ledger: LedgerServiceAsyncStub
    openai: OpenAISimulator

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return ((semconv.TENANT_HEADER, self.tenant),)

    async def ingest(self, text: str, key: str = "pumps.md") -> Run:
        """Ingests a document and waits for the end of its run."""
        data = text.encode()
        header = pb.IngestRequest.Header(
            document_key=key, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
        )

        async def messages() -> AsyncIterator[pb.IngestRequest]:
            yield pb.IngestRequest(header=header)
            yield pb.IngestRequest(data=data)

        answer = await send(self.orchestrator.Ingest(metadata=self.headers), messages())
        return await self.finish(answer.run.run_id)

    async def finish(self, run_id: str) -> Run:
        """A run at its end."""
        async with asyncio.timeout(90):
            request = pb.WatchRunRequest(run_id=run_id)
            async for answer in self.orchestrator.WatchRun(request, metadata=self.headers):
                run = answer.run
        return run

    async def heal(self, run_id: str) -> Run:
        """A run as it was taken up again."""
        request = pb.HealRunRequest(run_id=run_id)
        return (await self.orchestrator.HealRun(request, metadata=self.headers)).run

    async def chunks(self, key: str = "pumps.md") -> Sequence[str]:
        """The ids of a document's published chunks."""
        request = pb.ListChunksRequest(document_key=key, page_size=500)
        return [
            one.chunk_id
            for one in (await self.orchestrator.ListChunks(request, metadata=self.headers)).chunks
        ]

    async def search(self, query: str) -> pb.SearchResponse:
        """What a question finds."""
        return await self.orchestrator.Search(pb.SearchRequest(query=query), metadata=self.headers)

    async def embeddings(self, run_id: str) -> Sequence[Entry]:
        """A run's attempts to embed."""
        request = ListEntriesRequest(run_ids=[run_id], page_size=500)
        answer = await self.ledger.ListEntries(request, metadata=self.headers)
        return [entry for entry in answer.entries if entry.operation == "embed"]


@pytest.fixture
async def bench(database: MigratedPostgres, tmp_path: Path) -> AsyncIterator[Bench]:
    async with simulator(OpenAISettings(seed=1, latency_seconds=0.0)) as openai:
        vendors = Vendors(Mode.MODE_HYBRID, at(openai, attempt_seconds=20.0), SOON)
        async with (
            everything(database, tmp_path / "objects", vendors=vendors) as addresses,
            channel(addresses["orchestrator"]) as orchestrator,
            channel(addresses["ledger"]) as ledger,
        ):
            yield Bench(
                f"t{uuid.uuid4().hex[:12]}",
                OrchestratorServiceStub(orchestrator),
                LedgerServiceStub(ledger),
                openai,
            )


@pytest.mark.parametrize("text", [TEXT, LONG], ids=["one request", "several requests"])
async def test_a_document_is_found_by_words_while_the_embedder_is_down_and_healed_in_place(
    bench: Bench, text: str
) -> None:
    bench.openai.server.down()
    run = await bench.ingest(text)
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    assert "heal" in run.message
    (choice,) = [one for one in run.backends if one.service == "embedder"]
    assert (choice.backend, choice.mode, choice.reason) == ("", Mode.MODE_HYBRID, "VENDOR_UNREACHABLE")
    assert run.embedded_chunks == 0
    before = await bench.chunks()
    found = await bench.search("pump runs dry at noon")
    assert found.hits
    assert found.without_vector
    assert (found.coverage.chunks, found.coverage.vectors) == (run.chunks, 0)
    assert [e for e in await bench.embeddings(run.run_id) if e.state == Entry.STATE_SETTLED] == []

    bench.openai.server.up()
    healed = await bench.finish((await bench.heal(run.run_id)).run_id)
    assert (healed.state, healed.reason, healed.message, healed.tries) == (Run.STATE_READY, "", "", 2)
    (choice,) = [one for one in healed.backends if one.service == "embedder"]
    assert (choice.backend, choice.reason) == ("openai", "MODE_HYBRID")
    assert healed.embedded_chunks == healed.chunks == len(before)
    assert await bench.chunks() == before
    found = await bench.search("pump runs dry at noon")
    assert found.hits
    assert not found.without_vector
    assert found.coverage.vectors == found.coverage.chunks
    settled = [e for e in await bench.embeddings(run.run_id) if e.state == Entry.STATE_SETTLED]
    assert sum(e.reported_nano_usd for e in settled) == healed.simulated_nano_usd
    # Each token was bought once; the search's question is no run's.
    assert len({e.spend_key for e in settled}) == len(settled)
    unsettled = [e for e in await bench.embeddings(run.run_id) if e.state != Entry.STATE_SETTLED]
    assert {e.state for e in unsettled} <= {Entry.STATE_RELEASED}


async def test_two_heals_are_one_and_a_healed_run_has_nothing_left(bench: Bench) -> None:
    bench.openai.keys.revoke(KEY)
    run = await bench.ingest(TEXT)
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    (choice,) = [one for one in run.backends if one.service == "embedder"]
    assert choice.reason == "VENDOR_KEY_REFUSED"
    bench.openai.keys.add(KEY)
    first, second = await asyncio.gather(bench.heal(run.run_id), bench.heal(run.run_id))
    assert {first.tries, second.tries} == {2}
    assert (await bench.finish(run.run_id)).state == Run.STATE_READY
    assert (await bench.heal(run.run_id)).tries == 2


async def test_a_heal_while_the_vendor_is_down_still_leaves_the_run_degraded(bench: Bench) -> None:
    bench.openai.server.down()
    run = await bench.ingest(TEXT)
    await bench.heal(run.run_id)
    again = await bench.finish(run.run_id)
    assert (again.state, again.reason, again.tries) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING", 2)
    assert (await bench.search("bilge pump")).hits


async def test_a_version_that_was_replaced_is_not_healed_over(bench: Bench) -> None:
    bench.openai.server.down()
    run = await bench.ingest(TEXT)
    bench.openai.server.up()
    newer = await bench.ingest(TEXT.replace("noon", "midnight"))
    assert newer.state == Run.STATE_READY
    reason, _ = await failure(bench.heal(run.run_id))
    assert reason == "VERSION_REPLACED"
    assert (await bench.search("midnight")).hits[0].chunk.text.count("midnight") == 1


async def test_the_same_content_again_is_no_unchanged_while_vectors_are_pending(bench: Bench) -> None:
    bench.openai.server.down()
    first = await bench.ingest(TEXT)
    again = await bench.ingest(TEXT)
    assert (again.state, again.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    bench.openai.server.up()
    third = await bench.ingest(TEXT)
    assert third.state == Run.STATE_READY
    assert (await bench.ingest(TEXT)).state == Run.STATE_UNCHANGED
    for run in (first, again):
        reason, _ = await failure(bench.heal(run.run_id))
        assert reason == "VERSION_REPLACED"


async def test_what_is_not_degraded_by_a_vendor_is_not_healed(bench: Bench) -> None:
    run = await bench.ingest("   \n", "empty.md")
    assert run.state == Run.STATE_FAILED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bench.heal(run.run_id)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
