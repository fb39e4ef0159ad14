"""LlamaParse over its simulator: a document is sent once, waited for by nobody, and paid as charged."""

from __future__ import annotations

import datetime
import tempfile
import uuid
from pathlib import Path
from typing import Any, NoReturn

import pytest

from services.parser.backends.counting import UNREAD
from services.parser.backends.llamaparse.engine import LlamaParse
from services.parser.backends.llamaparse.sdk import opened
from services.parser.backends.port import Order, Source
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import Artifact
from services.storage.backends.local import LocalObjects
from tests import office_files, raw_pdfs
from tests.conftest import MigratedPostgres
from tests.contract.makers_llamacloud import SOON, at, quick
from tests.contract.makers_llamaparse import begun, final, llamaparse, operations, owed, parsed_there
from tests.contract.makers_parser import HTML, a_run, neighbours
from tests.waiting import until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest
from waybill.sim.llamacloud.simulator import simulator
from waybill.vendors.calls import Calls
from waybill.vendors.limiter import Limiter

# At the vendor, of its clock: a job ends when the test says so.
LONG_SECONDS = 600.0


@pytest.mark.slow
async def test_a_document_is_sent_once_and_paid_as_the_vendor_charges(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with (
        simulator(quick(LONG_SECONDS)) as sim,
        neighbours(database, tmp_path) as near,
        llamaparse(database, near, at(sim)) as stub,
    ):
        with identity.acting_as(a_run()):
            there = await begun(stub, near, "tides.html", HTML)
            assert there.vendor_job_id.startswith("pjb-")
            assert there.state == ParseJob.STATE_RUNNING
            assert there.HasField("look_at")
            sim.clock.advance(LONG_SECONDS)
            job = await final(stub, there.job_id)
            assert (job.state, job.reason, job.page_count) == (ParseJob.STATE_SUCCEEDED, "", 2)
            assert (job.backend, job.HasField("look_at")) == ("llamaparse", False)
            assert job.reading.engine == "llamaparse"
            pages = await near.result(job.result_key)
            assert [page.markdown.splitlines()[0] for page in pages] == ["# Heading 1", "# Heading 2"]
            assert [block.kind for block in pages[0].blocks] == ["heading", "text", "text"]

            await until(lambda: operations(sim)[-1] == "parse.delete")
            (entry,) = await near.entries()
            assert (entry.state, entry.quantity, entry.model) == (Entry.STATE_SETTLED, 2, "cost_effective")
            assert owed([entry]) == sim.invoice.total_nano_usd == 2 * 3_750_000
            assert entry.spend_key.endswith(":cost_effective:llamaparse-2026-09-28")
        assert operations(sim).count("files.create") == operations(sim).count("parse.create") == 1
        assert "files.delete" in operations(sim)
        assert not [one.violation for one in sim.journal if one.violation]


async def test_a_parse_whose_result_was_not_stored_is_taken_up_and_not_bought_again(
    database: MigratedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> NoReturn:
        raise InvalidRequest("STORAGE_REFUSES", "It takes nothing.")

    async with (
        simulator(quick(LONG_SECONDS)) as sim,
        neighbours(database, tmp_path) as near,
        llamaparse(database, near, at(sim)) as stub,
    ):
        with identity.acting_as(a_run()):
            there = await begun(stub, near, "tides.html", HTML)
            with monkeypatch.context() as patch:
                patch.setattr(LocalObjects, "put", refuse)
                sim.clock.advance(LONG_SECONDS)
                failed = await final(stub, there.job_id)
            assert (failed.state, failed.reason) == (ParseJob.STATE_FAILED, "RESULT_NOT_STORED")
            assert "waybill retry" in failed.message

            async def charged() -> bool:
                return owed(await near.entries()) == sim.invoice.total_nano_usd > 0

            await until(charged)
            again = await parsed_there(stub, near, "tides.html", HTML)
            assert (again.job_id, again.state) == (there.job_id, ParseJob.STATE_SUCCEEDED)
            assert (again.reason, again.page_count) == ("", 2)
            assert len(await near.result(again.result_key)) == 2
            (entry,) = await near.entries()
            assert (entry.state, owed([entry])) == (Entry.STATE_SETTLED, sim.invoice.total_nano_usd)
            assert sim.jobs_created == 1

            await until(lambda: operations(sim)[-1] == "parse.delete")


async def test_a_document_that_may_go_on_after_its_last_bought_page_says_so(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with (
        simulator(quick()) as sim,
        neighbours(database, tmp_path) as near,
        llamaparse(database, near, at(sim)) as stub,
    ):
        with identity.acting_as(a_run()):
            for pages, left_out in ((UNREAD[".tif"] + 1, ["what may follow page 50"]), (3, [])):
                scan = b"II*\0" + b"%%Page\n" * pages
                job = await final(stub, (await begun(stub, near, "scan.tif", scan)).job_id)
                assert (job.state, list(job.reading.left_out)) == (ParseJob.STATE_SUCCEEDED, left_out)
            picture = await begun(stub, near, "one.png", b"\x89PNG\r\n\x1a\n%%Page\n")
            assert not (await final(stub, picture.job_id)).reading.left_out, "it has one page"


@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("a.md", b"# Tides\n\nThey turn.\n"),
        ("a.txt", b"They turn.\n"),
        ("a.csv", b"hour,height\n6,3.1\n"),
        ("a.py", b"def tide() -> float:\n    return 3.1\n"),
        ("a.json", b'{"tide": 3.1}'),
        ("tides", b"They turn, whatever they are called.\n"),
    ],
)
async def test_plain_text_is_read_here_costs_nothing_and_says_so(
    database: MigratedPostgres, tmp_path: Path, filename: str, content: bytes
) -> None:
    async with (
        simulator(quick()) as sim,
        neighbours(database, tmp_path) as near,
        llamaparse(database, near, at(sim)) as stub,
    ):
        with identity.acting_as(a_run()):
            job = await parsed_there(stub, near, filename, content)
            assert (job.state, job.page_count, job.reading.engine) == (ParseJob.STATE_SUCCEEDED, 1, "local")
            assert await near.result(job.result_key)
            assert await near.entries() == []
            blank = await parsed_there(stub, near, f"blank-{filename}", b" " * len(content) + b"\n")
            assert (blank.state, blank.reason) == (ParseJob.STATE_FAILED, "DOCUMENT_EMPTY")
        assert {"files.create", "parse.create"}.isdisjoint(operations(sim))


@pytest.mark.parametrize(
    ("filename", "content", "held", "pages"),
    [
        ("a.pdf", raw_pdfs.document([raw_pdfs.stream(raw_pdfs.shown("Tides", 72, 700))] * 2), 2, 2),
        ("a.pptx", office_files.pptx(*[("Rain", "81 mm in April", "")] * 3), 3, 3),
        ("a.png", b"\x89PNG\r\n\x1a\n%%Page\n", 1, 1),
        ("a.html", HTML, 12, 2),
    ],
)
async def test_what_is_held_are_the_pages_that_can_be_counted_and_twice_a_guess(
    database: MigratedPostgres, tmp_path: Path, filename: str, content: bytes, held: int, pages: int
) -> None:
    async with (
        simulator(quick()) as sim,
        neighbours(database, tmp_path) as near,
        llamaparse(database, near, at(sim)) as stub,
    ):
        with identity.acting_as(a_run()):
            there = await begun(stub, near, filename, content)
            job = await final(stub, there.job_id)
            assert (there.expected_page_count, job.page_count, list(job.reading.left_out)) == (
                held,
                pages,
                [],
            )


async def test_a_job_that_is_listed_late_is_found_all_the_same() -> None:
    async with (
        simulator(quick(60.0)) as sim,
        opened(at(sim), Limiter("llamaparse", 8), Calls("llamaparse", SOON)) as cloud,
        Sandbox.open(DEFAULT_LIMITS, 1) as sandbox,
    ):

        async def later(seconds: float) -> None:
            sim.clock.advance(seconds)

        engine = LlamaParse(at(sim), cloud, sandbox, DEFAULT_LIMITS, sleep=later)
        order = Order(str(uuid.uuid4()), "fast", datetime.datetime.now(datetime.UTC), 1)
        sim.faults.add("F30/2")
        with identity.acting_as(a_run()), tempfile.TemporaryFile() as file:
            file.write(b"\x89PNG\r\n\x1a\n%%Page\n")
            with Artifact.open() as artifact:
                begun = await engine.begin(Source(file, "a.png"), order, artifact)
            found = await engine.find(order)
        assert found is not None, "its create's reply may have been lost"
        assert found.id == begun.id
