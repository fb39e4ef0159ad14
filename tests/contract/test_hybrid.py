"""Hybrid mode: what a vendor cannot do now is done without it, said, and healed under the same run."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from services.ledger.retries import RetryBudget
from services.storage.backends.supabase.config import SupabaseConfig
from tests import raw_pdfs
from tests.conftest import MigratedPostgres
from tests.contract import makers_llamacloud
from tests.contract.makers_embedder import KEY, SOON, at, failure
from tests.contract.makers_llamacloud import quick
from tests.contract.makers_services import Vendors, everything
from tests.contract.makers_storage import unit_vector
from tests.inprocess import channel
from tests.waiting import PATIENCE_SECONDS, until
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.common.v1.space_pb2 import Space
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.orchestrator.v1 import orchestrator_service_pb2 as pb
from waybill.orchestrator.v1.document_pb2 import Document
from waybill.orchestrator.v1.mode_service_pb2_grpc import ModeServiceStub
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime import semconv
from waybill.runtime.channel import send
from waybill.runtime.errors import from_status
from waybill.runtime.wire import timestamp
from waybill.sim.llamacloud.settings import LlamaCloudSettings
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator
from waybill.sim.llamacloud.simulator import simulator as llamacloud_simulator
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator
from waybill.storage.v1.chunk_pb2 import ChunkVector, Hit
from waybill.storage.v1.document_index_service_pb2 import (
    GetDocumentRequest,
    PublishVersionRequest,
    PutVectorsRequest,
)
from waybill.storage.v1.document_index_service_pb2_grpc import DocumentIndexServiceStub
from waybill.vendors.retrying import Policy

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub
    from waybill.orchestrator.v1.mode_service_pb2_grpc import ModeServiceAsyncStub
    from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

pytestmark = pytest.mark.slow

PDF = raw_pdfs.page(raw_pdfs.shown("The bilge pump runs dry at noon.", 72, 700))
OTHER_PDF = raw_pdfs.page(raw_pdfs.shown("The anchor winch needs grease every month.", 72, 700))
TEXT = "# Pumps\n\nThe bilge pump runs dry at noon.\n"
USUAL_RETRIES = RetryBudget()
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
    llamacloud: LlamaCloudSimulator
    healths: Mapping[str, Any]
    modes: ModeServiceAsyncStub
    addresses: Mapping[str, str]

    async def serves(self, backend: str) -> None:
        """Waits until a service knows that its vendor is back."""
        health, request = self.healths[backend.split("/")[0]], health_pb2.HealthCheckRequest(service=backend)

        async def serving() -> bool:
            return bool((await health.Check(request)).status == health_pb2.HealthCheckResponse.SERVING)

        await until(serving)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return ((semconv.TENANT_HEADER, self.tenant),)

    async def ingest(self, content: str | bytes, key: str = "pumps.md") -> Run:
        """Ingests a document and waits for the end of its run."""
        return await self.finish(await self.accepted(content, key))

    async def accepted(
        self, content: str | bytes, key: str = "pumps.md", complete_by: datetime.datetime | None = None
    ) -> str:
        """Ingests a document; answers its run's id."""
        data = content.encode() if isinstance(content, str) else content
        header = pb.IngestRequest.Header(
            document_key=key,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            complete_by=timestamp(complete_by) if complete_by else None,
        )

        async def messages() -> AsyncIterator[pb.IngestRequest]:
            yield pb.IngestRequest(header=header)
            yield pb.IngestRequest(data=data)

        answer = await send(self.orchestrator.Ingest(metadata=self.headers), messages())
        return str(answer.run.run_id)

    async def finish(self, run_id: str) -> Run:
        """A run at its end."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            request = pb.WatchRunRequest(run_id=run_id)
            async for answer in self.orchestrator.WatchRun(request, metadata=self.headers):
                run = answer.run
        return run

    async def ended(self, run_id: str, state: Run.State) -> bool:
        """Whether a run has ended so."""
        request = pb.GetRunRequest(run_id=run_id)
        return (await self.orchestrator.GetRun(request, metadata=self.headers)).run.state == state

    async def heal(self, run_id: str) -> Run:
        """A run as it was taken up again."""
        request = pb.HealRunRequest(run_id=run_id)
        return (await self.orchestrator.HealRun(request, metadata=self.headers)).run

    async def refuses_to_heal(self, run_id: str) -> str:
        """Why a run is not healed; one that was just taken up by itself ends before it is asked again."""
        while True:
            try:
                await self.heal(run_id)
            except grpc.aio.AioRpcError as error:
                return from_status(error).reason
            await self.finish(run_id)

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

    async def documents(self) -> pb.ListDocumentsResponse:
        """What is in the index."""
        return await self.orchestrator.ListDocuments(pb.ListDocumentsRequest(), metadata=self.headers)

    async def embeddings(self, run_id: str) -> Sequence[Entry]:
        """A run's attempts to embed."""
        return await self.entries(run_id, "embed")

    async def entries(self, run_id: str, operation: str) -> Sequence[Entry]:
        """A run's attempts of a kind."""
        request = ListEntriesRequest(run_ids=[run_id], page_size=500)
        answer = await self.ledger.ListEntries(request, metadata=self.headers)
        return [entry for entry in answer.entries if entry.operation == operation]


@asynccontextmanager
async def hybrid(
    database: MigratedPostgres,
    folder: Path,
    mode: Mode = Mode.MODE_HYBRID,
    *,
    local_over_budget: bool = False,
    cloud: LlamaCloudSettings | None = None,
    also_local: bool = True,
    retries: RetryBudget = USUAL_RETRIES,
    files: SupabaseConfig | None = None,
    model: str = "",
    policy: Policy = SOON,
) -> AsyncIterator[Bench]:
    """Services in hybrid mode, unless another one is named, and their vendors."""
    async with (
        simulator(OpenAISettings(seed=1, latency_seconds=0.0)) as openai,
        llamacloud_simulator(cloud or quick()) as llamacloud,
    ):
        to_openai, to_llamacloud = at(openai), makers_llamacloud.at(llamacloud)
        to_openai = replace(to_openai, model=model or to_openai.model)
        vendors = Vendors(
            mode, to_openai, to_llamacloud, files, local_over_budget, retries, policy, also_local=also_local
        )
        async with (
            everything(database, folder, vendors=vendors) as addresses,
            channel(addresses["orchestrator"]) as orchestrator,
            channel(addresses["ledger"]) as ledger,
            channel(addresses["parser"]) as parser,
            channel(addresses["embedder"]) as embedder,
        ):
            yield Bench(
                f"t{uuid.uuid4().hex[:12]}",
                OrchestratorServiceStub(orchestrator),
                LedgerServiceStub(ledger),
                openai,
                llamacloud,
                {
                    "parser": HealthStub(parser),
                    "embedder": HealthStub(embedder),
                },
                ModeServiceStub(orchestrator),
                addresses,
            )


@pytest.fixture
async def bench(database: MigratedPostgres, tmp_path: Path) -> AsyncIterator[Bench]:
    async with hybrid(database, tmp_path / "objects") as bench:
        yield bench


def chosen(told: Run | Hit | Document, service: str) -> tuple[str, str]:
    """Who did the work of a service, and why."""
    (choice,) = [one for one in told.backends if one.service == service]
    return choice.backend, choice.reason


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
    assert chosen(found.hits[0], "embedder") == ("", "VENDOR_UNREACHABLE")
    assert chosen(found.hits[0], "parser") == ("local", "PLAIN_TEXT")
    assert list(found.hits[0].lacking) == ["VECTORS_PENDING"]
    (document,) = (await bench.documents()).documents
    assert (chosen(document, "embedder"), list(document.lacking)) == (
        ("", "VENDOR_UNREACHABLE"),
        ["VECTORS_PENDING"],
    )
    assert [e for e in await bench.embeddings(run.run_id) if e.state == Entry.STATE_SETTLED] == []

    bench.openai.server.up()
    await bench.serves("embedder/openai/breaker")
    healed = await bench.finish((await bench.heal(run.run_id)).run_id)
    assert (healed.state, healed.reason, healed.message) == (Run.STATE_READY, "", "")
    assert healed.tries >= 2, "it may have been taken up by itself before the vendor was known to be down"
    (choice,) = [one for one in healed.backends if one.service == "embedder"]
    assert (choice.backend, choice.reason) == ("openai", "MODE_HYBRID")
    assert healed.embedded_chunks == healed.chunks == len(before)
    assert await bench.chunks() == before
    found = await bench.search("pump runs dry at noon")
    assert found.hits
    assert not found.without_vector
    assert found.coverage.vectors == found.coverage.chunks
    assert chosen(found.hits[0], "embedder") == ("openai", "MODE_HYBRID")
    assert chosen(found.hits[0], "parser") == ("local", "PLAIN_TEXT")
    assert not found.hits[0].lacking
    settled = [e for e in await bench.embeddings(run.run_id) if e.state == Entry.STATE_SETTLED]
    assert sum(e.reported_nano_usd for e in settled) == healed.simulated_nano_usd
    # Each token was bought once; the search's question is no run's.
    assert len({e.spend_key for e in settled}) == len(settled)
    unsettled = [e for e in await bench.embeddings(run.run_id) if e.state != Entry.STATE_SETTLED]
    assert {e.state for e in unsettled} <= {Entry.STATE_RELEASED}


async def test_a_new_text_that_comes_twice_at_once_under_two_keys_is_bought_once(bench: Bench) -> None:
    # So that the second is cut long before the first has its vectors.
    bench.openai.latency_seconds = 2.0
    runs = await asyncio.gather(*(bench.ingest(TEXT, key) for key in ("here.md", "there.md")))
    assert [(run.state, run.embedded_chunks) for run in runs] == [
        (Run.STATE_READY, run.chunks) for run in runs
    ]
    bought = [entry for run in runs for entry in await bench.embeddings(run.run_id)]
    assert [entry.state for entry in bought] == [Entry.STATE_SETTLED]


async def test_two_heals_are_one_and_a_healed_run_has_nothing_left(bench: Bench) -> None:
    bench.openai.keys.revoke(KEY)
    run = await bench.ingest(TEXT)
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    (choice,) = [one for one in run.backends if one.service == "embedder"]
    assert choice.reason == "VENDOR_KEY_REFUSED"
    bench.openai.keys.add(KEY)
    first, second = await asyncio.gather(bench.heal(run.run_id), bench.heal(run.run_id))
    assert first.tries == second.tries
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
    tries = (await bench.finish(run.run_id)).tries
    assert (await bench.heal(run.run_id)).tries == tries


async def test_a_heal_while_the_vendor_is_down_still_leaves_the_run_degraded(bench: Bench) -> None:
    bench.openai.server.down()
    run = await bench.ingest(TEXT)
    await bench.heal(run.run_id)
    again = await bench.finish(run.run_id)
    assert (again.state, again.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    assert again.tries >= 2
    assert (await bench.search("bilge pump")).hits


async def check_calls_for_no_heal(bench: Bench, run_id: str, reason: str) -> None:
    """A degraded run says by now why nothing is to be healed, and every heal says the same."""
    run = await bench.finish(run_id)
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, reason)
    assert "nothing is to be healed" in run.message
    assert "waybill heal" not in run.message
    assert (await failure(bench.heal(run_id)))[0] == reason


async def test_a_document_that_was_deleted_is_not_healed(bench: Bench) -> None:
    bench.openai.server.down()
    run = await bench.ingest(TEXT)
    request = pb.DeleteDocumentRequest(document_key=run.document_key)
    await bench.orchestrator.DeleteDocument(request, metadata=bench.headers)
    # By itself, once the vendor is back.
    bench.openai.server.up()

    async def is_known() -> bool:
        return (await bench.finish(run.run_id)).reason == "DOCUMENT_NOT_FOUND"

    await until(is_known)
    await check_calls_for_no_heal(bench, run.run_id, "DOCUMENT_NOT_FOUND")


async def test_a_version_that_was_replaced_is_not_healed_over(bench: Bench) -> None:
    bench.openai.server.down()
    run = await bench.ingest(TEXT)
    newer = await bench.ingest(TEXT.replace("noon", "midnight"))
    assert newer.state == Run.STATE_READY_DEGRADED
    assert await bench.refuses_to_heal(run.run_id) == "VERSION_REPLACED"
    await check_calls_for_no_heal(bench, run.run_id, "VERSION_REPLACED")
    assert (await bench.search("midnight")).hits[0].chunk.text.count("midnight") == 1


async def test_the_same_content_again_is_no_unchanged_while_vectors_are_pending(bench: Bench) -> None:
    bench.openai.server.down()
    first = await bench.ingest(TEXT)
    again = await bench.ingest(TEXT)
    assert (again.state, again.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    assert await bench.refuses_to_heal(first.run_id) == "VERSION_REPLACED"
    bench.openai.server.up()
    await until(lambda: bench.ended(again.run_id, Run.STATE_READY))
    assert (await bench.ingest(TEXT)).state == Run.STATE_UNCHANGED


def test_a_heal_buys_vectors_of_the_versions_own_model_also_once_another_one_is_configured(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async def degraded() -> tuple[str, str]:
        async with hybrid(database, tmp_path / "objects") as bench:
            bench.openai.server.down()
            run = await bench.ingest(TEXT)
            assert run.reason == "VECTORS_PENDING"
            return bench.tenant, run.run_id

    async def check_healed(tenant: str, run_id: str) -> None:
        async with hybrid(database, tmp_path / "objects", model="text-embedding-3-large") as bench:
            bench.tenant = tenant
            await bench.heal(run_id)
            run = await bench.finish(run_id)
            assert (run.state, run.reason, run.message) == (Run.STATE_READY, "", "")
            settled = [e for e in await bench.embeddings(run_id) if e.state == Entry.STATE_SETTLED]
            assert {e.model for e in settled} == {"text-embedding-3-small"}

    # The engine takes one start a loop.
    asyncio.run(check_healed(*asyncio.run(degraded())))


async def test_the_same_content_again_lacks_no_vectors_that_a_migration_has_brought(bench: Bench) -> None:
    bench.openai.server.down()
    await bench.ingest(TEXT)
    async with channel(bench.addresses["storage"]) as storage:
        index = DocumentIndexServiceStub(storage)
        asked = GetDocumentRequest(document_key="pumps.md")
        found = (await index.GetDocument(asked, metadata=bench.headers)).document
        request = PutVectorsRequest(
            version_id=found.version_id,
            space=Space(model="text-embedding-3-small", dimension=1536),
            vectors=[ChunkVector(ordinal=0, values=unit_vector(1, 1536))],
            publish=PublishVersionRequest(chunk_count=1),
        )
        await index.PutVectors(request, metadata=bench.headers)
    again = await bench.ingest(TEXT)
    assert (again.state, again.reason, again.message) == (Run.STATE_UNCHANGED, "", "")


async def test_what_is_not_degraded_by_a_vendor_is_not_healed(bench: Bench) -> None:
    run = await bench.ingest("   \n", "empty.md")
    assert run.state == Run.STATE_FAILED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bench.heal(run.run_id)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_document_is_read_here_while_the_parser_is_down_and_healed_to_the_vendors_pages(
    bench: Bench,
) -> None:
    whole = await bench.ingest(PDF, "whole.pdf")
    assert (whole.state, chosen(whole, "parser")) == (Run.STATE_READY, ("llamaparse", "MODE_HYBRID"))
    bench.llamacloud.server.down()
    run = await bench.ingest(OTHER_PDF, "manual.pdf")
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "PARSED_LOCALLY")
    assert chosen(run, "parser") == ("local", "VENDOR_UNREACHABLE")
    assert chosen(run, "embedder") == ("openai", "MODE_HYBRID")
    parses = await bench.entries(run.run_id, "parse")
    assert [e.kind for e in parses if e.state == Entry.STATE_SETTLED] == [CostKind.COST_KIND_LOCAL]
    assert sum(e.reported_nano_usd for e in parses if e.state == Entry.STATE_SETTLED) == 0
    # The next one holds nothing: the breaker is open.
    again = await bench.ingest(OTHER_PDF + b"\n% again", "again.pdf")
    assert (again.state, again.reason) == (Run.STATE_READY_DEGRADED, "PARSED_LOCALLY")
    assert {e.kind for e in await bench.entries(again.run_id, "parse")} == {CostKind.COST_KIND_LOCAL}
    # Text is read here in any case.
    text = await bench.ingest(TEXT, "text.md")
    assert (text.state, chosen(text, "parser")) == (Run.STATE_READY, ("local", "PLAIN_TEXT"))
    before = await bench.chunks("manual.pdf")
    (found,) = (await bench.search("anchor winch grease")).hits
    assert chosen(found, "parser") == ("local", "VENDOR_UNREACHABLE")
    assert list(found.lacking) == ["PARSED_LOCALLY"]

    bench.llamacloud.server.up()
    await bench.serves("parser/llamaparse/breaker")
    await bench.heal(run.run_id)
    # A heal that came before the parser knew that its vendor is back is repeated by itself.
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
    healed = await bench.finish(run.run_id)
    assert (healed.state, healed.reason) == (Run.STATE_READY, "")
    assert chosen(healed, "parser") == ("llamaparse", "MODE_HYBRID")
    assert set(await bench.chunks("manual.pdf")).isdisjoint(before)
    request = pb.ListChunksRequest(document_key="manual.pdf")
    listed = await bench.orchestrator.ListChunks(request, metadata=bench.headers)
    found = (await bench.search(listed.chunks[0].text)).hits[0]
    assert found.document_key == "manual.pdf"
    assert (chosen(found, "parser"), list(found.lacking)) == (("llamaparse", "MODE_HYBRID"), [])

    async def bought() -> Sequence[Entry]:
        """What the vendor was paid for, or may have been."""
        parses = await bench.entries(run.run_id, "parse")
        return [e for e in parses if e.vendor == "llamaparse" and e.state != Entry.STATE_RELEASED]

    async def nothing_in_doubt() -> bool:
        return Entry.STATE_IN_DOUBT not in {e.state for e in await bought()}

    # The attempt at a vendor that was not there is released once that says so.
    await until(nothing_in_doubt)
    assert [e.state for e in await bought()] == [Entry.STATE_SETTLED]
    assert (await bench.ingest(OTHER_PDF, "manual.pdf")).state == Run.STATE_UNCHANGED


async def test_a_refused_key_of_the_parser_is_a_local_parse(bench: Bench) -> None:
    bench.llamacloud.keys.revoke(makers_llamacloud.KEY)
    run = await bench.ingest(PDF, "manual.pdf")
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "PARSED_LOCALLY")
    assert chosen(run, "parser") == ("local", "VENDOR_KEY_REFUSED")
    again = await bench.ingest(PDF, "manual.pdf")
    assert (again.state, again.reason) == (Run.STATE_READY_DEGRADED, "PARSED_LOCALLY")
    bench.llamacloud.keys.add(makers_llamacloud.KEY)
    third = await bench.ingest(PDF, "manual.pdf")
    assert third.state in (Run.STATE_READY, Run.STATE_UNCHANGED)


async def test_by_itself_a_degraded_run_is_healed_once_its_vendor_is_back(bench: Bench) -> None:
    bench.openai.server.down()
    run = await bench.ingest(TEXT)
    assert (run.state, run.reason) == (Run.STATE_READY_DEGRADED, "VECTORS_PENDING")
    before = await bench.chunks()
    bench.openai.server.up()
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
    assert await bench.chunks() == before
    assert (await bench.search("bilge pump")).coverage.vectors == run.chunks
