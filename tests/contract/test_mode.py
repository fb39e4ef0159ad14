"""The live switch of the mode: who may, what it refuses, and that whatever begins afterwards takes it."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.orchestrator.modes import STALE_SECONDS, Modes
from tests import mode_cells
from tests.conftest import MigratedPostgres
from tests.contract import makers_llamacloud
from tests.contract.makers_embedder import KEY, failure
from tests.contract.makers_services import Vendors, everything
from tests.contract.test_hybrid import OTHER_PDF, PDF, TEXT, Bench, chosen, hybrid
from tests.inprocess import channel
from tests.mode_cells import BAD_KEY, CELLS, DOWN, HYBRID, LOCAL, MODES, REAL
from tests.waiting import until
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.backend_service_pb2 import GetBackendRequest, GetBackendResponse
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.audit_pb2 import ListAuditRequest
from waybill.object_keys import source_key
from waybill.orchestrator.v1.mode_service_pb2 import (
    GetModeRequest,
    ServiceMode,
    SetModeRequest,
    SetModeResponse,
)
from waybill.orchestrator.v1.mode_service_pb2_grpc import ModeServiceStub
from waybill.orchestrator.v1.plan_pb2 import PlanRequest, PlanResponse
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import CreateParseJobRequest
from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceStub
from waybill.runtime import identity, semconv
from waybill.runtime.channel import send
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.runtime.postgres import Database

pytestmark = pytest.mark.slow

OPERATOR = ((semconv.TENANT_HEADER, DEFAULT_TENANT),)
SIMULATED, REAL_MONEY = CostKind.COST_KIND_SIMULATED, CostKind.COST_KIND_REAL


async def switch(bench: Bench, mode: Mode, *services: str, **more: Any) -> Sequence[ServiceMode]:
    """What holds after the operator's switch."""
    request = SetModeRequest(mode=mode, services=services, **more)
    answer: SetModeResponse = await bench.modes.SetMode(request, metadata=OPERATOR)
    return answer.services


async def told(bench: Bench) -> dict[str, ServiceMode]:
    """What any tenant is told, by service."""
    answer = await bench.modes.GetMode(GetModeRequest(), metadata=bench.headers)
    return {one.service: one for one in answer.services}


async def modes(bench: Bench) -> list[str]:
    """The modes of parser, embedder and storage."""
    return [Mode.Name(one.mode) for one in (await told(bench)).values()]


@asynccontextmanager
async def switchable(database: MigratedPostgres, folder: Path, **more: Any) -> AsyncIterator[Bench]:
    """Services in hybrid mode with their vendors, and no switch left behind: it is all tenants'."""
    async with hybrid(database, folder, **more) as bench:
        try:
            yield bench
        finally:
            await switch(bench, Mode.MODE_UNSPECIFIED)


@pytest.fixture
async def bench(database: MigratedPostgres, tmp_path: Path) -> AsyncIterator[Bench]:
    async with switchable(database, tmp_path / "objects") as bench:
        yield bench


async def planned(bench: Bench, content: bytes, key: str) -> PlanResponse:
    """What an ingest would do."""
    header = PlanRequest.Header(
        document_key=key, filename=key, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
    )

    async def messages() -> AsyncIterator[PlanRequest]:
        yield PlanRequest(header=header)
        yield PlanRequest(data=content)

    answer: PlanResponse = await send(bench.orchestrator.Plan(metadata=bench.headers), messages())
    return answer


async def test_each_service_says_its_mode_since_when_by_whom_and_who_works(bench: Bench) -> None:
    found = await told(bench)
    assert list(found) == ["parser", "embedder", "storage"]
    assert [Mode.Name(one.mode) for one in found.values()] == [HYBRID, HYBRID, LOCAL]
    assert {one.source for one in found.values()} == {ServiceMode.SOURCE_SETTINGS}
    assert all(one.HasField("since") for one in found.values())
    assert [one.choice.backend for one in found.values()] == ["llamaparse", "openai", "local"]
    assert [one.vendor_kind for one in found.values()][:2] == [SIMULATED, SIMULATED]

    answered = await switch(bench, Mode.MODE_LOCAL, "parser")
    assert [Mode.Name(one.mode) for one in answered] == [LOCAL, HYBRID, LOCAL]
    found = await told(bench)
    parser = found["parser"]
    assert (parser.source, parser.set_by, parser.choice.backend) == (
        ServiceMode.SOURCE_SWITCH,
        DEFAULT_TENANT,
        "local",
    )
    assert found["embedder"].source == ServiceMode.SOURCE_SETTINGS
    await switch(bench, Mode.MODE_LOCAL, "parser")
    assert (await told(bench))["parser"].since == parser.since, "a repeat changes nothing"

    # As one switch; and back.
    await switch(bench, Mode.MODE_REAL)
    assert await modes(bench) == [REAL, REAL, LOCAL]
    await switch(bench, Mode.MODE_UNSPECIFIED, "embedder")
    assert await modes(bench) == [REAL, HYBRID, LOCAL]
    await switch(bench, Mode.MODE_UNSPECIFIED)
    assert {one.source for one in (await told(bench)).values()} == {ServiceMode.SOURCE_SETTINGS}


async def test_whatever_begins_after_a_switch_takes_it_and_says_so(bench: Bench) -> None:
    first = await bench.ingest(PDF, "first.pdf")
    assert [chosen(first, name) for name in ("parser", "embedder")] == [
        ("llamaparse", HYBRID),
        ("openai", HYBRID),
    ]
    await switch(bench, Mode.MODE_LOCAL)
    second = await bench.ingest(OTHER_PDF, "second.pdf")
    assert (second.state, second.reason) == (Run.STATE_READY, "")
    assert {one.service: (one.backend, Mode.Name(one.mode), one.reason) for one in second.backends} == {
        "parser": ("local", LOCAL, LOCAL),
        "embedder": ("local", LOCAL, LOCAL),
    }
    assert (await planned(bench, PDF, "third.pdf")).lines[0].most_parse_nano_usd == 0
    await switch(bench, Mode.MODE_REAL)
    assert (await planned(bench, OTHER_PDF, "third.pdf")).lines[0].most_parse_nano_usd > 0
    third = await bench.ingest(OTHER_PDF, "third.pdf")
    assert [chosen(third, name) for name in ("parser", "embedder")] == [
        ("llamaparse", REAL),
        ("openai", REAL),
    ]


async def test_searches_take_the_mode_and_no_answer_mixes_two_spaces(bench: Bench) -> None:
    await bench.ingest(TEXT, "bought.md")
    before = await bench.search("bilge pump noon")
    assert (before.space.model, before.coverage.vectors) == ("text-embedding-3-small", 1)
    await switch(bench, Mode.MODE_LOCAL)
    await bench.ingest("# Winch\n\nThe anchor winch needs grease.\n", "made-here.md")
    found = await bench.search("bilge pump noon")
    assert found.space.model == "wordllama-l2-supercat"
    # What has a vector in the other space alone is found by its words, and the coverage says so.
    assert [hit.document_key for hit in found.hits][:1] == ["bought.md"]
    assert (found.coverage.chunks, found.coverage.vectors) == (2, 1)
    await switch(bench, Mode.MODE_UNSPECIFIED)
    after = await bench.search("anchor winch grease")
    assert after.space == before.space
    assert [hit.document_key for hit in after.hits][:1] == ["made-here.md"]
    assert (after.coverage.chunks, after.coverage.vectors) == (2, 1)


async def parse_begun(bench: Bench, run_id: str) -> ParseJob:
    """The parse job of a run that is to read the PDF on this machine."""
    sha256 = hashlib.sha256(PDF).hexdigest()
    request = CreateParseJobRequest(
        source_key=source_key(sha256), source_sha256=sha256, filename="manual.pdf",
        source_size_bytes=len(PDF), mode=Mode.MODE_LOCAL,
    )  # fmt: skip
    with identity.acting_as(identity.Caller(bench.tenant, "c", run_id=run_id)):
        async with channel(bench.addresses["parser"]) as parser:
            return (await ParserServiceStub(parser).CreateParseJob(request)).job


async def test_a_parse_that_was_begun_at_the_vendor_ends_there_and_is_paid_once(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    slow = makers_llamacloud.quick(queued_seconds=3_600.0)
    async with switchable(database, tmp_path / "objects", cloud=slow) as bench:
        run_id = await bench.accepted(PDF, "manual.pdf")
        await until(lambda: bench.ended(run_id, Run.STATE_WAITING_ON_VENDOR))
        await switch(bench, Mode.MODE_LOCAL, "parser")
        here = await bench.ingest(OTHER_PDF, "other.pdf")
        assert chosen(here, "parser") == ("local", LOCAL)
        # A step that a crash has cut off finds what its run has bought. Another run takes the mode.
        kept = await parse_begun(bench, run_id)
        assert (kept.backend, kept.choice.reason) == ("llamaparse", "JOB_KEPT")
        assert (await parse_begun(bench, str(uuid.uuid4()))).backend == "local"
        bench.llamacloud.clock.advance(3_600.0)
        run = await bench.finish(run_id)
        assert (run.state, run.reason) == (Run.STATE_READY, "")
        assert chosen(run, "parser") == ("llamaparse", "JOB_KEPT")
        assert [entry.vendor for entry in await bench.entries(run_id, "parse")] == ["llamaparse"]


async def audited(bench: Bench) -> list[tuple[str, str, str, dict[str, str]]]:
    """What the operator's audit has of modes, newest first."""
    answer = await bench.ledger.ListAudit(ListAuditRequest(page_size=100), metadata=OPERATOR)
    return [
        (one.action, one.target, one.outcome, dict(one.detail))
        for one in answer.events
        if one.action.startswith("mode.")
    ]


async def test_a_switch_is_audited_and_so_is_one_that_is_refused(bench: Bench) -> None:
    await switch(bench, Mode.MODE_LOCAL, "parser")
    await switch(bench, Mode.MODE_UNSPECIFIED, "parser")
    await failure(switch(bench, Mode.MODE_LOCAL, "storage"))
    wanted = [
        ("mode.switch", "storage", "MODE_FIXED", {"mode": LOCAL}),
        ("mode.take_back", "parser", "OK", {}),
        ("mode.switch", "parser", "OK", {"mode": LOCAL}),
    ]

    async def told_of() -> bool:
        return (await audited(bench))[:3] == wanted

    await until(told_of)


async def test_only_the_operator_switches_and_storage_and_unknown_services_are_refused(bench: Bench) -> None:
    call = bench.modes.SetMode(SetModeRequest(mode=Mode.MODE_LOCAL), metadata=bench.headers)
    reason, message = await failure(call)
    assert reason == "OPERATOR_REQUIRED"
    assert "WAYBILL_OPERATOR_TENANT" in message
    reason, message = await failure(switch(bench, Mode.MODE_LOCAL, "parser", "storage"))
    assert reason == "MODE_FIXED"
    assert "STORAGE_BACKEND" in message
    assert (await failure(switch(bench, Mode.MODE_LOCAL, "ledger")))[0] == "INVALID_REQUEST"
    assert (await failure(switch(bench, cast(Mode, 9))))[0] == "INVALID_REQUEST"
    for mode in (Mode.MODE_REAL, Mode.MODE_HYBRID):
        reason, message = await failure(switch(bench, mode, vendor_kind=REAL_MONEY))
        assert reason == "VENDOR_KIND_MISMATCH"
        assert "openai is a simulator" in message
        assert "llamaparse is a simulator" in message
    assert await modes(bench) == [HYBRID, HYBRID, LOCAL]
    await switch(bench, Mode.MODE_REAL, vendor_kind=SIMULATED)
    assert await modes(bench) == [REAL, REAL, LOCAL]


async def test_a_mode_whose_backends_are_missing_is_refused_with_all_their_variables(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    vendors = Vendors(missing=("WAYBILL_MODE is 'local'", "SOME_KEY is not set"))
    async with (
        everything(database, tmp_path / "objects", vendors=vendors) as at,
        channel(at["orchestrator"]) as orchestrator,
    ):
        stub = ModeServiceStub(orchestrator)
        for mode in (Mode.MODE_REAL, Mode.MODE_HYBRID):
            reason, message = await failure(stub.SetMode(SetModeRequest(mode=mode), metadata=OPERATOR))
            assert reason == "BACKEND_MISSING"
            for part in ("llamaparse", "openai"):
                assert part in message
            assert message.count("WAYBILL_MODE is 'local', SOME_KEY is not set") == 2
        found = (await stub.GetMode(GetModeRequest(), metadata=OPERATOR)).services
        assert [Mode.Name(one.mode) for one in found] == [LOCAL] * 3
        answer = await stub.SetMode(SetModeRequest(mode=Mode.MODE_LOCAL), metadata=OPERATOR)
        assert {one.source for one in answer.services[:2]} == {ServiceMode.SOURCE_SWITCH}
        await stub.SetMode(SetModeRequest(), metadata=OPERATOR)


async def test_production_refuses_a_live_switch_as_it_refuses_the_start(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with switchable(database, tmp_path / "objects", also_local=False) as bench:
        for (service, mode), refused in mode_cells.REFUSED.items():
            if service == "storage" or mode == "simulator":
                continue
            switched = switch(bench, MODES[f"MODE_{mode.upper()}"], service)
            if refused is None:
                await switched
                continue
            reason, message = await failure(switched)
            assert reason == "LOCAL_REFUSED", (service, mode)
            assert f"{service.upper()}_BACKEND" in message
        reason, message = await failure(switch(bench, Mode.MODE_LOCAL))
        assert reason == "LOCAL_REFUSED"
        for name in ("PARSER_BACKEND", "EMBEDDER_BACKEND", "WAYBILL_ENV"):
            assert name in message
        # The parser's part is refused, so the embedder's is not done either.
        await switch(bench, Mode.MODE_REAL)
        assert (await failure(switch(bench, Mode.MODE_HYBRID)))[0] == "LOCAL_REFUSED"
        assert await modes(bench) == [REAL, REAL, LOCAL]


class Backend:
    """A service that says how it is set."""

    def __init__(self, settings: str) -> None:
        self.settings = settings
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()

    async def GetBackend(  # noqa: N802 - gRPC names the method
        self, request: GetBackendRequest, timeout: float | None = None
    ) -> GetBackendResponse:
        """Says it."""
        self.asked.set()
        await self.may_answer.wait()
        return GetBackendResponse(settings=self.settings)


async def test_every_orchestrator_takes_a_switch_a_second_later_until_the_service_is_set_otherwise(
    database: MigratedPostgres,
) -> None:
    parser, now = Backend("as it was"), [100.0]
    peers: Any = SimpleNamespace(backends={"parser": parser, "embedder": Backend("other")})
    async with (
        Database.opened(database.url("orchestrator")) as tenants,
        Database.opened(database.owner_url("orchestrator")) as owner,
    ):
        here, there = (Modes(tenants, owner, peers, clock=lambda: now[0]) for _ in range(2))
        assert await there.of("parser") == Mode.MODE_UNSPECIFIED
        by = {"set_by": "somebody", "subject": "", "credential_id": ""}
        await here.switch({"parser": "as it was"}, Mode.MODE_LOCAL, by)
        try:
            assert await here.of("parser") == Mode.MODE_LOCAL, "at once where it was switched"
            assert await there.of("parser") == Mode.MODE_UNSPECIFIED
            now[0] += STALE_SECONDS
            assert await there.of("parser") == Mode.MODE_LOCAL
            assert await there.of("embedder") == Mode.MODE_UNSPECIFIED
            async with there.standing():
                await here.switch({"parser": "as it was"}, Mode.MODE_REAL, by)
                now[0] += STALE_SECONDS
                assert await there.of("parser") == Mode.MODE_LOCAL, "as when the step began"
            assert await there.of("parser") == Mode.MODE_REAL
            parser.settings = "started with others"
            now[0] += STALE_SECONDS
            assert await there.of("parser") == Mode.MODE_UNSPECIFIED
        finally:
            await here.switch({"parser": ""}, Mode.MODE_UNSPECIFIED, by)


async def test_a_read_that_began_before_a_switch_hides_it_from_nobody_afterwards(
    database: MigratedPostgres,
) -> None:
    parser = Backend("as it was")
    peers: Any = SimpleNamespace(backends={"parser": parser})
    async with (
        Database.opened(database.url("orchestrator")) as tenants,
        Database.opened(database.owner_url("orchestrator")) as owner,
    ):
        modes = Modes(tenants, owner, peers, clock=lambda: 100.0)
        by = {"set_by": "somebody", "subject": "", "credential_id": ""}
        await modes.switch({"parser": "as it was"}, Mode.MODE_LOCAL, by)
        try:
            parser.may_answer.clear()
            begun_before = asyncio.create_task(modes.of("parser"))
            await parser.asked.wait()
            switch = asyncio.create_task(modes.switch({"parser": "as it was"}, Mode.MODE_REAL, by))
            written = {"service": "parser", "mode": "MODE_REAL"}
            await until(partial(_holds, tenants, written))
            parser.may_answer.set()
            assert await begun_before == Mode.MODE_LOCAL
            await switch
            assert await modes.of("parser") == Mode.MODE_REAL
        finally:
            parser.may_answer.set()
            await modes.switch({"parser": ""}, Mode.MODE_UNSPECIFIED, by)


async def _holds(database: Database, row: dict[str, str]) -> bool:
    return row in await database.rows(None, "select service, mode from waybill_runs.modes")


def bring(bench: Bench, state: str) -> None:
    """Both vendors into a state."""
    for vendor, key in ((bench.openai, KEY), (bench.llamacloud, makers_llamacloud.KEY)):
        if state == DOWN:
            vendor.server.down()
        elif state == BAD_KEY:
            vendor.keys.revoke(key)


async def left_alone(bench: Bench, service: str, state: str) -> set[str]:
    """Who tried to do the work of a service for a run that has its vendor alone, which does not serve."""
    operation = "parse" if service == "parser" else "embed"
    content = PDF + uuid.uuid4().hex.encode() if service == "parser" else f"{TEXT}\n{uuid.uuid4()}\n".encode()
    run_id = await bench.accepted(content, "pumps.pdf" if service == "parser" else "pumps.md")

    if state == DOWN:
        # Nothing need be held: a vendor that is known to be down is not asked.
        await until(lambda: bench.ended(run_id, Run.STATE_WAITING_ON_VENDOR))
    else:
        run = await bench.finish(run_id)
        assert (run.state, run.reason) == (Run.STATE_FAILED, state)
    return {entry.vendor for entry in await bench.entries(run_id, operation)}


@pytest.mark.parametrize("state", ["", DOWN, BAD_KEY], ids=["serving", "down", "key refused"])
async def test_each_cell_of_the_table_end_to_end(bench: Bench, state: str) -> None:
    bring(bench, state)
    cells = {cell[:3]: cell[3:] for cell in CELLS}
    for mode in (LOCAL, REAL, HYBRID):
        await switch(bench, MODES[mode])
        if mode == REAL and state:
            for service, found in (await told(bench)).items():
                if service != "storage":
                    cell = cells[service, mode, state]
                    assert (found.choice.backend, found.choice.reason) == cell
                    assert await left_alone(bench, service, state) <= {cell[0]}
            continue
        run = await bench.ingest(PDF + mode.encode(), f"{mode}.pdf")
        for service in ("parser", "embedder"):
            assert chosen(run, service) == cells[service, mode, state], (service, mode, state)


async def test_a_run_that_waits_for_a_dead_vendor_goes_on_once_the_mode_is_hybrid(bench: Bench) -> None:
    await switch(bench, Mode.MODE_REAL)
    bench.llamacloud.server.down()
    run_id = await bench.accepted(PDF, "manual.pdf")
    await until(lambda: bench.ended(run_id, Run.STATE_WAITING_ON_VENDOR))
    await switch(bench, Mode.MODE_HYBRID)
    await until(lambda: bench.ended(run_id, Run.STATE_READY_DEGRADED))
    run = await bench.finish(run_id)
    assert run.reason == "PARSED_LOCALLY"
    assert chosen(run, "parser") == ("local", DOWN)


async def test_an_embedding_that_waits_for_a_dead_vendor_goes_on_once_the_mode_is_hybrid(
    bench: Bench,
) -> None:
    await switch(bench, Mode.MODE_REAL)
    bench.openai.server.down()
    run_id = await bench.accepted(TEXT)
    await until(lambda: bench.ended(run_id, Run.STATE_WAITING_ON_VENDOR))
    await switch(bench, Mode.MODE_HYBRID)
    await until(lambda: bench.ended(run_id, Run.STATE_READY_DEGRADED))
    run = await bench.finish(run_id)
    assert run.reason == "VECTORS_PENDING"
    assert chosen(run, "embedder") == ("", DOWN)


async def test_no_heal_begins_while_the_mode_is_local(bench: Bench) -> None:
    bench.openai.server.down()
    run = await bench.ingest(TEXT)
    assert run.reason == "VECTORS_PENDING"
    await switch(bench, Mode.MODE_LOCAL)
    reason, message = await failure(bench.heal(run.run_id))
    assert reason == "VENDOR_NOT_WANTED"
    assert "waybill mode" in message
    bench.openai.server.up()
    await switch(bench, Mode.MODE_UNSPECIFIED)
    await until(lambda: bench.ended(run.run_id, Run.STATE_READY))
