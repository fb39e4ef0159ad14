"""The parser's contract, one suite for every backend: ours, LlamaParse over its simulator, and the real one.

With WAYBILL_LIVE_LLAMA_CLOUD_API_KEY set, the last one parses a page in the fast tier for a credit each.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf.duration_pb2 import Duration

from services.parser.backends.llamaparse.config import LlamaParseConfig
from tests import hostile_pdfs, raw_pdfs
from tests.conftest import MigratedPostgres
from tests.contract.makers_llamacloud import at, quick
from tests.contract.makers_llamaparse import final, llamaparse, owed
from tests.contract.makers_parser import Neighbours, a_run, exists, job_request, neighbours, parser
from tests.waiting import until
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob, ParseOptions
from waybill.parser.v1.parser_service_pb2 import (
    CancelParseJobRequest,
    DeleteParseJobsRequest,
    ListFileTypesRequest,
)
from waybill.runtime import identity
from waybill.sim.llamacloud.simulator import simulator
from waybill.vendors.keys import Keys

if TYPE_CHECKING:
    from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceAsyncStub

LIVE_KEY = os.environ.get("WAYBILL_LIVE_LLAMA_CLOUD_API_KEY", "")
SIMULATED = ("local", "llamaparse")
LIVE = pytest.param("live", marks=pytest.mark.skipif(not LIVE_KEY, reason="no key that spends money"))
FAST = ParseOptions(tier="fast")


@dataclass(frozen=True)
class Bench:
    """What a test has in hand."""

    stub: ParserServiceAsyncStub
    near: Neighbours
    backend: str

    async def parsed(self, filename: str, content: bytes, options: ParseOptions | None = None) -> ParseJob:
        """A job at its end, which the first answer may be."""
        request = job_request(
            await self.near.store(content), filename, content, wait=Duration(seconds=20), options=options
        )
        return await final(self.stub, (await self.stub.CreateParseJob(request)).job.job_id)

    async def settled(self) -> list[Entry]:
        """The run's entries, once each has ended."""
        found: list[Entry] = []

        async def ended() -> bool:
            found[:] = await self.near.entries()
            return all(entry.state != Entry.STATE_HELD for entry in found)

        await until(ended)
        return found


@asynccontextmanager
async def bench(kind: str, database: MigratedPostgres, folder: Path) -> AsyncIterator[Bench]:
    """A parser over a backend."""
    async with neighbours(database, folder) as near:
        if kind == "local":
            async with parser(database, near) as stub:
                yield Bench(stub, near, "local")
        elif kind == "live":
            real = LlamaParseConfig(Keys([LIVE_KEY]), CostKind.COST_KIND_REAL)
            async with llamaparse(database, near, real) as stub:
                yield Bench(stub, near, "llamaparse")
        else:
            async with simulator(quick()) as sim, llamaparse(database, near, at(sim)) as stub:
                yield Bench(stub, near, "llamaparse")


def price(entry: Entry) -> tuple[str, str, int]:
    """What was bought of whom for how much; of local work, what it would cost."""
    like = entry.would_cost
    return (
        (like.vendor, like.model, like.nano_usd)
        if like.vendor
        else (entry.vendor, entry.model, owed([entry]))
    )


def a_pdf(pages: int = 1) -> bytes:
    """A PDF of its own content."""
    name = uuid.uuid4().hex
    shown = [raw_pdfs.shown(f"Page {number} of {name}", 72, 700) for number in range(1, pages + 1)]
    return raw_pdfs.document([raw_pdfs.stream(one) for one in shown])


@pytest.mark.parametrize("kind", [*SIMULATED, LIVE])
async def test_a_page_becomes_text_in_storage_and_one_settled_entry(
    database: MigratedPostgres, tmp_path: Path, kind: str
) -> None:
    async with bench(kind, database, tmp_path) as one:
        with identity.acting_as(a_run()):
            job = await one.parsed("a.pdf", a_pdf(), FAST)
            assert (job.state, job.reason, job.page_count) == (ParseJob.STATE_SUCCEEDED, "", 1)
            assert (job.backend, job.options.tier) == (one.backend, "fast")
            assert job.HasField("end_time")
            assert not job.HasField("look_at")
            (page,) = await one.near.result(job.result_key)
            assert (page.page, bool(page.markdown.strip()), bool(page.blocks)) == (1, True, True)
            (entry,) = await one.settled()
            assert (entry.state, entry.quantity) == (Entry.STATE_SETTLED, 1)
            assert entry.vendor == one.backend
            assert price(entry) == ("llamaparse", "fast", 1_250_000)
            assert owed([entry]) == (0 if one.backend == "local" else 1_250_000)
            assert (await one.parsed("b.pdf", b"%PDF-1.7 cut off", FAST)).state == ParseJob.STATE_FAILED


@pytest.mark.parametrize("kind", SIMULATED)
async def test_pages_come_in_order_and_the_same_content_is_bought_once_for_each_tier(
    database: MigratedPostgres, tmp_path: Path, kind: str
) -> None:
    async with bench(kind, database, tmp_path) as one:
        with identity.acting_as(a_run()):
            content = a_pdf(3)
            first, again = [await one.parsed(name, content) for name in ("a.pdf", "b.pdf")]
            other = await one.parsed("a.pdf", content, ParseOptions(tier="agentic"))
            assert (first == again, first.job_id == other.job_id) == (True, False)
            assert [page.page for page in await one.near.result(first.result_key)] == [1, 2, 3]
            entries = await one.settled()
            assert list(map(price, entries)) == [
                ("llamaparse", "cost_effective", 3 * 3_750_000), ("llamaparse", "agentic", 3 * 12_500_000)
            ]  # fmt: skip


@pytest.mark.parametrize("kind", SIMULATED)
async def test_two_tenants_pay_each_and_share_nothing(
    database: MigratedPostgres, tmp_path: Path, kind: str
) -> None:
    async with bench(kind, database, tmp_path) as one:
        content = a_pdf()
        jobs = []
        for _ in range(2):
            with identity.acting_as(a_run()):
                jobs.append(await one.parsed("a.pdf", content))
                assert [entry.state for entry in await one.settled()] == [Entry.STATE_SETTLED]
        assert jobs[0].job_id != jobs[1].job_id


@pytest.mark.parametrize("kind", SIMULATED)
@pytest.mark.parametrize(
    ("filename", "make", "reason"),
    [
        ("a.pdf", hostile_pdfs.encrypted, "PDF_IS_PROTECTED"),
        ("a.pdf", hostile_pdfs.random_bytes, "PDF_IS_BROKEN"),
        ("a.pdf", bytes, "DOCUMENT_EMPTY"),
        ("a.bin", lambda: bytes(range(256)) * 8, "FILE_TYPE_UNSUPPORTED"),
    ],
)
async def test_a_document_that_cannot_be_read_fails_with_its_reason_and_costs_nothing(
    database: MigratedPostgres,
    tmp_path: Path,
    kind: str,
    filename: str,
    make: Callable[[], bytes],
    reason: str,
) -> None:
    async with bench(kind, database, tmp_path) as one:
        with identity.acting_as(a_run()):
            job = await one.parsed(filename, make())
            assert (job.state, job.reason) == (ParseJob.STATE_FAILED, reason)
            assert job.message.endswith(".")
            assert {entry.state for entry in await one.settled()} <= {Entry.STATE_RELEASED}


@pytest.mark.parametrize("kind", SIMULATED)
async def test_an_unknown_tier_fails_before_anything_is_bought(
    database: MigratedPostgres, tmp_path: Path, kind: str
) -> None:
    async with bench(kind, database, tmp_path) as one:
        with identity.acting_as(a_run()):
            job = await one.parsed("a.pdf", a_pdf(), ParseOptions(tier="platinum"))
            assert (job.state, job.reason) == (ParseJob.STATE_FAILED, "PRICE_UNKNOWN")
            assert await one.near.entries() == []


@pytest.mark.parametrize("kind", SIMULATED)
async def test_a_cancelled_job_leaves_nothing_and_a_deleted_one_neither(
    database: MigratedPostgres, tmp_path: Path, kind: str
) -> None:
    async with bench(kind, database, tmp_path) as one:
        with identity.acting_as(a_run()):
            content = a_pdf(2)
            request = job_request(await one.near.store(content), "a.pdf", content)
            created = (await one.stub.CreateParseJob(request)).job
            (cancelled,) = (await one.stub.CancelParseJob(CancelParseJobRequest(job_id=created.job_id))).jobs
            # One that was as good as done goes on to its end.
            assert cancelled.state in (ParseJob.STATE_CANCELLED, ParseJob.STATE_SUCCEEDED)
            job = await one.parsed("a.pdf", content)
            assert (job.state, await exists(one.near, job.result_key)) == (ParseJob.STATE_SUCCEEDED, True)
            await one.stub.DeleteParseJobs(DeleteParseJobsRequest(source_sha256=job.source_sha256))
            assert not await exists(one.near, job.result_key)


@pytest.mark.parametrize("kind", SIMULATED)
async def test_file_types_are_told(database: MigratedPostgres, tmp_path: Path, kind: str) -> None:
    async with bench(kind, database, tmp_path) as one:
        with identity.acting_as(a_run()):
            told = (await one.stub.ListFileTypes(ListFileTypesRequest())).file_types
            suffixes = {suffix for one_type in told for suffix in one_type.suffixes}
            assert {".pdf", ".docx", ".pptx", ".xlsx", ".html", ".md", ".txt"} <= suffixes
            assert (".png" in suffixes) == (kind == "llamaparse")
