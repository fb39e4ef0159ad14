"""The audit: who did what is kept once, seen by whom it concerns, changed by nobody, and holds no secret."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from services.ledger.audit import AuditLog
from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import a_run, hold, ledger, refused
from tests.contract.makers_services import everything
from tests.contract.test_identity import KEY, SECRET, ingested
from tests.issuer import Issuer
from tests.issuer import Key as SigningKey
from tests.waiting import until
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.audit_pb2 import AuditEvent, ListAuditRequest, RecordAuditRequest
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.ledger_service_pb2 import SetBudgetRequest, SettleRequest, WriteOffRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    CancelRunRequest,
    DeleteDocumentRequest,
    DeleteDocumentsRequest,
    ListRunsRequest,
    RetryRunRequest,
)
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from waybill.runtime import identity
from waybill.runtime.audit import Audit, Event, to_ledger
from waybill.runtime.auth_settings import AuthConfig
from waybill.runtime.errors import Unavailable
from waybill.runtime.postgres import Database
from waybill.runtime.refusals import Refusals
from waybill.storage.v1.object_storage_service_pb2 import SignDownloadRequest, SignUploadRequest
from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceStub
from waybill.vendors.keys import Keys

if TYPE_CHECKING:
    pass

OPERATOR = "operator-of-the-audit"


async def events(stub: Any, metadata: Any = (), **asked: Any) -> list[AuditEvent]:
    """What a caller sees, oldest first, three a page."""
    request, seen = ListAuditRequest(page_size=3, **asked), list[AuditEvent]()
    while True:
        page = await stub.ListAudit(request, metadata=metadata)
        seen += page.events
        if not page.next_page_token:
            return seen[::-1]
        request.page_token = page.next_page_token


def an_event(**more: Any) -> AuditEvent:
    event = AuditEvent(**({"event_id": str(uuid.uuid4()), "action": "thing.do", "outcome": "OK"} | more))
    event.event_time.GetCurrentTime()
    return event


def a_budget(**more: Any) -> SetBudgetRequest:
    usual = {"kind": CostKind.COST_KIND_REAL, "unit": Budget.UNIT_NANO_USD, "period": Budget.PERIOD_DAY}
    return SetBudgetRequest(budget=Budget(**(usual | {"limit": 5} | more)))


async def test_an_event_is_kept_once_and_seen_by_its_tenant_alone(database: MigratedPostgres) -> None:
    async with ledger(database, OPERATOR) as stub:
        with identity.acting_as(who := a_run()):
            audit = Audit(to_ledger(stub))
            for number in range(7):
                await audit.record("thing.do", f"t{number}", detail={"number": str(number)})
            event = an_event(tenant=who.tenant, action="thing.tell")
            for _ in range(2):
                await stub.RecordAudit(RecordAuditRequest(events=[event]))
            await audit.record("thing.share", "all", operators=True)
            mine = await events(stub)
            assert [one.target for one in mine] == [*(f"t{number}" for number in range(7)), ""]
            assert {(one.caller, one.correlation_id) for one in mine[:7]} == {
                (who.tenant, who.correlation_id)
            }
            assert [one.target for one in await events(stub, action="thing.do", target="t3")] == ["t3"]
            assert not await events(stub, until=mine[0].event_time)
            assert len(await events(stub, since=mine[0].event_time)) == 8
        with identity.acting_as(a_run()):
            assert not await events(stub)
        with identity.acting_as(a_run(OPERATOR)):
            assert who.tenant in [one.caller for one in await events(stub, action="thing.share")]


@pytest.mark.parametrize(
    "wrong", [{"action": "Thing"}, {"action": ""}, {"outcome": ""}, {"event_id": "x"}, {"tenant": "*"}]
)
async def test_what_is_no_event_is_refused(database: MigratedPostgres, wrong: dict[str, str]) -> None:
    event = an_event(**wrong)
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            found = await refused(stub.RecordAudit(RecordAuditRequest(events=[event])))
    assert found == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize("service", ["storage", "parser", "ledger", "orchestrator"])
@pytest.mark.parametrize("owner", [False, True])
@pytest.mark.parametrize(
    "statement",
    [
        "update waybill_ledger.audit set outcome = 'OK'",
        "delete from waybill_ledger.audit",
        "truncate waybill_ledger.audit",
        "alter table waybill_ledger.audit disable row level security",
        "update waybill_ledger.adjustments set nano_usd = 1",
        "delete from waybill_ledger.adjustments",
        "truncate waybill_ledger.adjustments",
        "delete from waybill_ledger.entries",
        "truncate waybill_ledger.entries cascade",
        "alter table waybill_ledger.entries disable row level security",
    ],
)
def test_no_role_of_a_service_changes_or_deletes_a_row(
    database: MigratedPostgres, service: str, owner: bool, statement: str
) -> None:
    url = database.owner_url(service) if owner else database.url(service)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


async def test_a_budget_and_a_write_off_are_kept_with_their_rows_or_not_at_all(
    database: MigratedPostgres,
) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(who := a_run()):
            budget_id = (await stub.SetBudget(a_budget())).budget.budget_id
            entry_id = (await stub.Hold(hold())).entry.entry_id
            await stub.Settle(SettleRequest(entry_id=entry_id, doubt_reason="lost"))
            with psycopg.connect(database.admin_url, autocommit=True) as admin:
                admin.execute("revoke insert on waybill_ledger.audit from waybill_ledger")
                try:
                    for call in (
                        stub.SetBudget(a_budget(limit=6)),
                        stub.WriteOff(WriteOffRequest(entry_id=entry_id, reason="policy")),
                    ):
                        assert (await refused(call))[0] is not grpc.StatusCode.OK
                finally:
                    admin.execute("grant insert on waybill_ledger.audit to waybill_ledger")
            for _ in range(2):
                await stub.WriteOff(WriteOffRequest(entry_id=entry_id, reason="policy"))
            await stub.SetBudget(a_budget(limit=7))
            found = await events(stub)
    assert [(one.action, one.target) for one in found] == [
        ("budget.set", budget_id), ("entry.write_off", entry_id), ("budget.set", budget_id),
    ]  # fmt: skip
    assert found[2].detail["old_limit"] == "5"
    assert found[1].detail["reason"] == "policy"
    assert {one.caller for one in found} == {who.tenant}


async def test_what_people_do_to_runs_documents_and_links_is_told_with_their_credential(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    tenant = f"t-{uuid.uuid4()}"
    with Issuer([SigningKey.made("key-1")]).served() as issuer:
        auth = AuthConfig(tokens=issuer.config, service_secret=SECRET)
        token = issuer.token(tenant, "alice")
        forged = (("authorization", f"Bearer {token}x"),)
        shown = (("authorization", f"Bearer {token}"), ("x-correlation-id", "sk-planted1234567890"))
        async with (
            everything(database, tmp_path / "objects", auth) as at,
            grpc.aio.insecure_channel(at["orchestrator"]) as runs,
            grpc.aio.insecure_channel(at["storage"]) as objects,
            grpc.aio.insecure_channel(at["ledger"]) as money,
        ):
            stub, store = OrchestratorServiceStub(runs), ObjectStorageServiceStub(objects)
            run = await ingested(stub, shown)
            await stub.CancelRun(CancelRunRequest(run_id=run.run_id), metadata=shown)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.RetryRun(RetryRunRequest(run_id=run.run_id), metadata=shown)
            download = SignDownloadRequest(key=f"sources/{run.source_sha256}")
            await store.SignDownload(download, metadata=shown)
            upload = SignUploadRequest(key="in/llx-planted1234567890", size_bytes=1, sha256="0" * 64)
            await store.SignUpload(upload, metadata=shown)
            await stub.DeleteDocument(DeleteDocumentRequest(document_key=KEY), metadata=shown)
            await stub.DeleteDocuments(DeleteDocumentsRequest(collection="default"), metadata=shown)
            since = Timestamp()
            since.GetCurrentTime()
            for _ in range(50):
                with pytest.raises(grpc.aio.AioRpcError):
                    await stub.ListRuns(ListRunsRequest(), metadata=forged)
            reader = LedgerServiceStub(money)

            everyones = (("authorization", f"Bearer {issuer.token('local', 'root')}"),)
            found, refusals = dict[str, AuditEvent](), list[AuditEvent]()

            async def complete() -> bool:
                found.update((one.action, one) for one in await events(reader, shown))
                refusals[:] = await events(reader, everyones, action="call.refuse", since=since)
                return len(found) == 6 and bool(refusals)

            await until(complete)
    assert {action: (one.target, one.outcome) for action, one in found.items()} == {
        "run.cancel": (run.run_id, "OK"),
        "run.retry": (run.run_id, "RUN_READY"),
        "link.download": (f"sources/{run.source_sha256}", "OK"),
        "link.upload": ("in/***", "OK"),
        "document.delete": (f"default/{KEY}", "OK"),
        "documents.delete": ("default", "OK"),
    }
    assert {(one.caller, one.subject, one.credential_id) for one in found.values()} == {
        (tenant, "alice", "key-1")
    }
    (first, *_) = refusals
    assert (first.outcome, first.target, first.caller) == (
        "TOKEN_INVALID", "waybill.orchestrator.v1.OrchestratorService/ListRuns", "",
    )  # fmt: skip
    assert first.detail["peer"].startswith("ipv")
    # The first of the fifty, and at most one that counts the others.
    assert len([one for one in refusals if one.outcome == "TOKEN_INVALID"]) <= 2
    with psycopg.connect(database.admin_url) as connection:
        rows = str(connection.execute("select t::text from waybill_ledger.audit t").fetchall())
    assert tenant in rows
    planted = ("planted", token, SECRET, token.rpartition(".")[2])
    assert not [secret for secret in planted if secret in rows]


async def test_a_link_is_not_given_where_it_cannot_be_audited() -> None:
    async def away(_: object) -> None:
        raise Unavailable("NOT_REACHABLE", "The ledger is away.")

    with identity.acting_as(a_run()), pytest.raises(Unavailable):
        await Audit(away).record("link.download", "a")


@pytest.mark.slow
async def test_what_is_noted_while_the_ledger_is_away_is_there_once_it_is_back(
    database: MigratedPostgres,
) -> None:
    async with Database.opened(database.url("ledger")) as pool:
        log, tried = AuditLog(pool, ""), 0

        async def write(batch: list[Event]) -> None:
            nonlocal tried
            tried += 1
            await log.append(batch)  # committed, and its answer is lost twice
            if tried < 3:
                raise Unavailable("NOT_REACHABLE", "The ledger is away.")

        audit = Audit(write)  # type: ignore[arg-type]
        async with audit.writing():
            with identity.acting_as(who := a_run()), pytest.raises(Unavailable), audit.noted("thing.do", "a"):
                raise Unavailable("VENDOR_DOWN", "…")
            await until(lambda: tried > 0)
            with identity.acting_as(who):
                for number in range(250):
                    audit.note("thing.do", f"b{number}")
            await until(lambda: tried >= 3)
        async with pool.transaction(who.tenant) as connection:
            query = "select target, outcome from waybill_ledger.audit where tenant = %s order by audit_id"
            rows = await (await connection.execute(query, [who.tenant])).fetchall()
    told = [(row["target"], row["outcome"]) for row in rows]
    assert told == [("a", "VENDOR_DOWN"), *((f"b{number}", "OK") for number in range(250))]


async def test_other_keys_in_a_file_are_told_and_none_of_them(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text("sk-one-planted-key")
    keys = Keys([], file)
    async with ledger(database, OPERATOR) as stub:
        audit = Audit(to_ledger(stub))
        vendor = f"vendor-{uuid.uuid4()}"
        keys.audited(audit, vendor)
        with identity.acting_as(a_run()):
            async with audit.writing():
                keys.current()
                file.write_text("sk-two-planted-key\nsk-one-planted-key\n")
                keys.current()
        with identity.acting_as(a_run(OPERATOR)):
            (event,) = await events(stub, target=vendor)
    assert (event.action, dict(event.detail), event.caller) == ("keys.reload", {"keys": "2"}, "")


async def test_a_flood_of_refused_calls_is_a_few_events(database: MigratedPostgres) -> None:
    kept: list[Event] = []

    async def write(batch: list[Event]) -> None:
        kept.extend(batch)

    audit = Audit(write)  # type: ignore[arg-type]
    async with audit.writing():
        refusals = Refusals(audit)
        async with refusals.counting():
            for reason in ("TOKEN_INVALID", "TOKEN_MISSING"):
                for number in range(5_000):
                    refusals.refused(f"/a.B/C{number}", reason, f"ipv4:192.0.2.{number % 250}:{number}")
    assert [(one.outcome, one.target, dict(one.detail)) for one in kept] == [
        ("TOKEN_INVALID", "a.B/C0", {"peer": "ipv4:192.0.2.0"}),
        ("TOKEN_MISSING", "a.B/C0", {"peer": "ipv4:192.0.2.0"}),
        ("TOKEN_INVALID", "", {"more": "4999"}),
        ("TOKEN_MISSING", "", {"more": "4999"}),
    ]
