"""The parser over the real storage and ledger: a file becomes pages once, and is paid for once."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from services.parser.attempting import CUT_OFF
from services.parser.backends.port import Parser
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.job import Job, JobState
from services.parser.jobs import Jobs
from services.parser.objects import Objects
from services.parser.working import Runner
from tests import hostile_pdfs
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import (
    MARKDOWN,
    Neighbours,
    a_run,
    an_engine,
    brought_to_end,
    claimed,
    ended,
    job_request,
    jobs_of,
    neighbours,
    new_job,
    no_pause,
    parsed,
    parser,
    refused,
    time_passes,
)
from tests.inprocess import Recorder
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.metering import Meter
from waybill.parser.v1.parse_job_pb2 import ParseJob, ParseOptions
from waybill.parser.v1.parser_service_pb2 import CreateParseJobRequest, GetParseJobRequest
from waybill.runtime import identity
from waybill.runtime.errors import Unavailable


async def test_a_file_becomes_pages_in_storage_and_one_settled_entry(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            job = await parsed(stub, near, "tides.md", MARKDOWN)
            (entry,) = await near.entries()
            assert (job.state, job.page_count, job.backend) == (ParseJob.STATE_SUCCEEDED, 2, "local")
            assert job.HasField("end_time")
            assert [page.markdown for page in await near.result(job.result_key)] == [
                "# Tides\n\nThey turn.",
                "And turn again.",
            ]
            assert (job.reading.format, job.reading.encoding, job.reading.pages) == ("markdown", "utf-8", 2)
            assert (entry.state, entry.quantity, entry.vendor, entry.model, entry.kind) == (
                Entry.STATE_SETTLED, 2, "local", "markdown engine", CostKind.COST_KIND_LOCAL,
            )  # fmt: skip
            assert entry.spend_key.startswith(f"parse:{job.source_sha256}:cost_effective:")
            assert (entry.expected_nano_usd, entry.reported_nano_usd) == (0, 0)
            assert not entry.HasField("would_cost"), "plain text is read here in every mode"


async def test_what_a_vendor_would_read_says_what_that_would_cost(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            await parsed(stub, near, "tides.pdf", hostile_pdfs.simple("They turn.", pages=2))
            (entry,) = await near.entries()
            like = entry.would_cost
            assert (like.vendor, like.model, like.nano_usd) == ("llamaparse", "cost_effective", 2 * 3_750_000)
            assert like.price_date == "2025-11-01"


async def test_the_same_content_and_tier_are_one_job_and_another_tier_is_another(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            same = hostile_pdfs.simple("same")
            first = await parsed(stub, near, "a.pdf", same)
            again = await parsed(stub, near, "b.pdf", same)
            other = await parsed(stub, near, "a.pdf", same, options=ParseOptions(tier="agentic"))
            assert again == first
            assert (other.job_id == first.job_id, other.state) == (False, ParseJob.STATE_SUCCEEDED)
            assert [entry.would_cost.model for entry in await near.entries()] == ["cost_effective", "agentic"]


async def test_two_tenants_pay_each_and_see_nothing_of_each_other(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            mine = await parsed(stub, near, "a.txt", b"shared")
        with identity.acting_as(a_run()):
            not_found = (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
            assert await refused(stub.GetParseJob(GetParseJobRequest(job_id=mine.job_id))) == not_found
            theirs = await parsed(stub, near, "a.txt", b"shared")
            assert theirs.job_id != mine.job_id
            assert [entry.state for entry in await near.entries()] == [Entry.STATE_SETTLED]


@pytest.mark.parametrize(
    ("filename", "make", "reason"),
    [
        ("a.pdf", hostile_pdfs.encrypted, "PDF_IS_PROTECTED"),
        ("a.pdf", hostile_pdfs.random_bytes, "PDF_IS_BROKEN"),
        ("a.pdf", bytes, "DOCUMENT_EMPTY"),
        ("a.pdf", hostile_pdfs.without_text, "DOCUMENT_EMPTY"),
        ("a.pdf", hostile_pdfs.nested_forms, "DOCUMENT_TOO_LARGE"),
        ("a.md", lambda: bytes(range(256)) * 8, "FILE_TYPE_UNSUPPORTED"),
    ],
)
async def test_a_document_that_cannot_be_read_fails_with_its_reason_and_costs_nothing(
    database: MigratedPostgres, tmp_path: Path, filename: str, make: Callable[[], bytes], reason: str
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            job = await parsed(stub, near, filename, make())
            assert (job.state, job.reason) == (ParseJob.STATE_FAILED, reason)
            assert job.message.endswith(".")
            assert {entry.state for entry in await near.entries()} <= {Entry.STATE_RELEASED}
            again = await parsed(stub, near, filename, make())
            assert again.job_id != job.job_id, "a failed job does not stand in the way of another try"


async def test_what_can_never_work_is_refused_before_there_is_a_job(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            key = await near.store(b"x")
            invalid = grpc.StatusCode.INVALID_ARGUMENT
            for request, expected in [
                (job_request("none", "a.txt", b"x"), (grpc.StatusCode.NOT_FOUND, "OBJECT_NOT_FOUND")),
                (job_request("../up", "a.txt", b"x"), (invalid, "PATH_NOT_ALLOWED")),
                (CreateParseJobRequest(source_key=key, filename="a.txt"), (invalid, "INVALID_REQUEST")),
                (
                    job_request(key, "a.txt", b"x", options=ParseOptions(tier="../x")),
                    (invalid, "INVALID_REQUEST"),
                ),
            ]:
                assert await refused(stub.CreateParseJob(request)) == expected
            for job_id, expected in [
                ("7", (invalid, "INVALID_REQUEST")),
                (str(uuid.uuid4()), (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")),
            ]:
                assert await refused(stub.GetParseJob(GetParseJobRequest(job_id=job_id))) == expected


async def test_bytes_that_are_not_those_that_were_named_fail_the_job(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            request = job_request(await near.store(b"these"), "a.txt", b"others")
            job = await ended(stub, (await stub.CreateParseJob(request)).job)
            assert (job.state, job.reason) == (ParseJob.STATE_FAILED, "CHECKSUM_MISMATCH")


async def test_an_unknown_price_fails_the_job_before_anything_is_parsed(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            unknown = ParseOptions(tier="platinum")
            job = await parsed(stub, near, "a.pdf", hostile_pdfs.simple("x"), options=unknown)
            assert (job.state, job.reason) == (ParseJob.STATE_FAILED, "PRICE_UNKNOWN")


async def test_a_starting_parser_finishes_what_a_dead_one_left_on_behalf_of_who_asked(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    who = a_run()
    async with neighbours(database, tmp_path) as near:
        async with jobs_of(database, "parser/dead") as dead:
            with identity.acting_as(who):
                job = await dead.create(new_job(who, MARKDOWN, await near.store(MARKDOWN)))
            await time_passes(database, await claimed(dead, who, job.job_id))
        async with parser(database, near) as stub:
            with identity.acting_as(who):
                assert (await ended(stub, ParseJob(job_id=str(job.job_id)))).page_count == 2
                (entry,) = await near.entries()
        assert (entry.correlation_id, entry.span.trace_id) == (who.correlation_id, "a" * 32)


async def test_the_database_shows_and_takes_no_job_without_a_tenant(database: MigratedPostgres) -> None:
    who = a_run()
    async with jobs_of(database, "parser/1") as store:
        await store.create(new_job(who, b"x", "k"))
    async with await psycopg.AsyncConnection.connect(database.url("parser")) as connection:
        assert await (await connection.execute("select * from waybill_parser.jobs")).fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(
                "insert into waybill_parser.jobs select gen_random_uuid(), 'other', '', repeat('0', 64), '',"
                " 't', 'QUEUED', 'local', 'SIMULATED', '', '', '', ''"
            )


class Died(BaseException):
    """Stands for kill -9: from here on nothing this process tries has any effect."""


class Fuse:
    """Lets so many operations through, then fails: once, or for ever."""

    def __init__(self, operations: int, error: BaseException, *, for_ever: bool) -> None:
        self._left = operations
        self._error = error
        self._for_ever = for_ever
        self.blown = False

    def burn(self) -> None:
        self._left -= 1
        if self._left == -1 or (self._left < 0 and self._for_ever):
            self.blown = True
            raise self._error


class Fused:
    """Anything whose every method first asks the fuse."""

    def __init__(self, target: Any, fuse: Fuse) -> None:
        self._target = target
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._target, name)
        if not callable(member):
            return member

        def method(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn()
            return member(*arguments, **named)

        return method


def a_runner(store: Jobs, near: Neighbours, engine: Parser, fuse: Fuse | None = None) -> Runner:
    """A process's runner; with a fuse in each of its ways out."""

    def way(target: Any) -> Any:
        return target if fuse is None else Fused(target, fuse)

    meter = Meter(way(near.ledger), Recorder().telemetry("parser").tracer, "parser")
    return Runner(way(store), Objects(way(near.storage)), way(engine), meter, DEFAULT_LIMITS, no_pause)


@pytest.mark.parametrize("kind", ["local", "remote", "llamaparse"])
async def test_a_parser_that_dies_between_any_two_steps_leaves_one_result_and_one_payment(
    database: MigratedPostgres, tmp_path: Path, kind: str
) -> None:
    async with (
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/first") as first,
        jobs_of(database, "parser/second") as second,
        an_engine(kind) as engine,
    ):
        for operations in itertools.count():
            who, content = a_run(), b"# %d\n\fnext" % operations
            with identity.acting_as(who):
                name = "a.html" if kind == "llamaparse" else "a.md"
                job = await first.create(new_job(who, content, await near.store(content), name))
            fuse = Fuse(operations, Died(), for_ever=True)
            try:
                await brought_to_end(a_runner(first, near, engine, fuse), first, who, job.job_id)
            except Died:
                await time_passes(database, job)
                await brought_to_end(a_runner(second, near, engine), second, who, job.job_id)
            with identity.acting_as(who):
                await assert_paid_once(near, await first.get(who.tenant, job.job_id))
            if not fuse.blown:
                break
        assert operations >= 9, "fetch, count, attach, hold, parse, put, pages, settle, succeed"


async def test_text_is_read_here_though_a_vendor_parses_and_a_death_anywhere_leaves_one_result_for_nothing(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with (
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/first") as first,
        jobs_of(database, "parser/second") as second,
        an_engine("llamaparse") as engine,
    ):
        for operations in itertools.count():
            who, content = a_run(), b"# here %d\n\fnext" % operations
            with identity.acting_as(who):
                job = await first.create(new_job(who, content, await near.store(content)))
            fuse = Fuse(operations, Died(), for_ever=True)
            try:
                await brought_to_end(a_runner(first, near, engine, fuse), first, who, job.job_id)
            except Died:
                await time_passes(database, job)
                await brought_to_end(a_runner(second, near, engine), second, who, job.job_id)
            with identity.acting_as(who):
                job = await first.get(who.tenant, job.job_id)
                assert (job.state, job.page_count, job.charge_of) == (JobState.SUCCEEDED, 2, "")
                assert (job.reading.engine, job.reading.format) == ("local", "markdown")
                assert len(await near.result(job.result_key)) == 2
                assert await near.entries() == []
            if not fuse.blown:
                break
        assert operations >= 5, "fetch, count, attach, put, pages, succeed"


@pytest.mark.parametrize("kind", ["local", "remote"])
async def test_a_neighbour_that_is_away_for_a_moment_delays_a_job_and_no_more(
    database: MigratedPostgres, tmp_path: Path, kind: str
) -> None:
    async with (
        neighbours(database, tmp_path) as near,
        jobs_of(database, "parser/1") as store,
        an_engine(kind) as engine,
    ):
        for operations in itertools.count():
            who, content = a_run(), b"# again %d\n\fnext" % operations
            with identity.acting_as(who):
                job = await store.create(new_job(who, content, await near.store(content)))
            fuse = Fuse(operations, Unavailable("AWAY", "Repeat."), for_ever=False)
            await brought_to_end(a_runner(store, near, engine, fuse), store, who, job.job_id)
            with identity.acting_as(who):
                await assert_paid_once(near, await store.get(who.tenant, job.job_id))
            if not fuse.blown:
                break
        assert operations >= 9


async def assert_paid_once(near: Neighbours, job: Job) -> None:
    assert (job.state, job.page_count) == (JobState.SUCCEEDED, 2)
    entries = await near.entries()
    assert [entry.quantity for entry in entries if entry.state == Entry.STATE_SETTLED] == [2]
    others = {(entry.state, entry.end_reason) for entry in entries if entry.state != Entry.STATE_SETTLED}
    assert others <= {(Entry.STATE_RELEASED, CUT_OFF)}
    assert len(await near.result(job.result_key)) == 2
