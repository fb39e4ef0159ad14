"""Every RPC of every service with auth on: who calls is what their token says, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.conftest import MigratedPostgres
from tests.contract.makers_services import everything
from tests.contract.test_fuzz import CONTRACTS, pieces, rpcs
from tests.inprocess import Recorder
from tests.issuer import Issuer, Key
from tests.waiting import PATIENCE_SECONDS, until
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    GetRunRequest,
    IngestRequest,
    ListRunsRequest,
    SearchRequest,
)
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.auth_settings import AuthConfig
from waybill.runtime.channel import send
from waybill.runtime.errors import from_status
from waybill.runtime.interceptors import _services_only

SECRET = "what-our-services-show-each-other-in-tests"
MARK = "quokka"
CONTENT = f"# {MARK}\n\nThe {MARK} keeps its receipts.\n".encode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEY = f"{MARK}.md"
# Found by themselves, of this many RPCs, where the caller is the tenant: else the walk would show nothing.
LEAST_THAT_ANSWER = 12
CHANGING = ("Delete", "BatchDelete", "Cancel", "Begin", "Put", "Publish")

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bench:
    """All services behind one issuer."""

    issuer: Issuer
    addresses: Mapping[str, str]
    recorder: Recorder

    def bearer(self, tenant: str, subject: str = "user-1", **claims: Any) -> Metadata:
        return (("authorization", f"Bearer {self.issuer.token(tenant, subject, **claims)}"),)

    @asynccontextmanager
    async def orchestrator(self) -> AsyncIterator[Any]:
        async with grpc.aio.insecure_channel(self.addresses["orchestrator"]) as channel:
            yield OrchestratorServiceStub(channel)


@pytest.fixture
async def bench(database: MigratedPostgres, tmp_path: Path) -> AsyncIterator[Bench]:
    recorder = Recorder()
    with Issuer([Key.made("key-1")]).served() as issuer:
        auth = AuthConfig(tokens=issuer.config, service_secret=SECRET)
        async with everything(database, tmp_path / "objects", auth, recorder) as addresses:
            yield Bench(issuer, addresses, recorder)


async def ingested(stub: Any, metadata: Metadata) -> Run:
    """A document that is READY."""
    header = IngestRequest.Header(document_key=KEY, filename=KEY, size_bytes=len(CONTENT), sha256=SHA256)
    call = stub.Ingest(metadata=metadata)
    run: Run = (await send(call, pieces(IngestRequest(header=header), IngestRequest(data=CONTENT)))).run

    async def has_ended() -> bool:
        nonlocal run
        run = (await stub.GetRun(GetRunRequest(run_id=run.run_id), metadata=metadata)).run
        return run.state not in (Run.STATE_QUEUED, Run.STATE_RUNNING)

    await until(has_ended)
    assert run.state in (Run.STATE_READY, Run.STATE_UNCHANGED), run
    return run


def filled(descriptor: Descriptor, known: Mapping[str, Any], depth: int = 0) -> Message:
    """A request whose fields name what is known by their names."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        value = known.get(field.name)
        if field.message_type is not None and not field.message_type.GetOptions().map_entry and depth < 3:
            if field.message_type.file.package.startswith("waybill."):
                inner = filled(field.message_type, known, depth + 1)
                if inner.ByteSize():
                    put(message, field, inner)
        elif value is not None and field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_INT64):
            put(message, field, value)
    return message


def put(message: Message, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(message, field.name).append(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


async def called(
    channel: grpc.aio.Channel, method: MethodDescriptor, known: Mapping[str, Any], metadata: Metadata
) -> tuple[str, bytes]:
    """What a call ends as (OK, or the reason), and all that it answered."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    shape = "_".join(
        "stream" if one else "unary" for one in (method.client_streaming, method.server_streaming)
    )
    request = filled(method.input_type, known).SerializeToString()
    calling = getattr(channel, shape)(path)(
        pieces(request) if method.client_streaming else request, timeout=PATIENCE_SECONDS, metadata=metadata
    )
    answers: list[bytes] = []
    try:
        if method.server_streaming:
            async for answer in calling:
                answers.append(answer)
                if len(answers) > 20:
                    calling.cancel()
                    break
        else:
            answers.append(await calling)
    except grpc.aio.AioRpcError as error:
        return from_status(error).reason, b"".join(answers) + (error.details() or "").encode()
    return "OK", b"".join(answers)


async def walked(
    bench: Bench, known: Mapping[str, Any], metadata: Metadata, leaving_out: tuple[str, ...] = ()
) -> dict[str, tuple[str, bytes]]:
    """Every RPC, called so; those left out are named by how they begin."""
    found = {}
    for name, modules in CONTRACTS.items():
        async with grpc.aio.insecure_channel(bench.addresses[name]) as channel:
            for method in (one for one in rpcs(modules) if not one.name.startswith(leaving_out)):
                found[method.full_name] = await called(channel, method, known, metadata)
    return found


async def test_every_rpc_refuses_who_shows_nothing_or_what_is_not_good(bench: Bench) -> None:
    token = bench.issuer.token()
    forged = bench.issuer.token(key=Key.made("key-1"))
    refused: list[tuple[Metadata, str]] = [
        ((), "TOKEN_MISSING"),
        ((("x-waybill-tenant", "acme"),), "TOKEN_MISSING"),
        ((("authorization", f"Basic {token}"),), "TOKEN_MISSING"),
        ((("authorization", f"Bearer {forged}"),), "TOKEN_INVALID"),
        (bench.bearer("acme", exp=1), "TOKEN_EXPIRED"),
        (bench.bearer("acme", filler="x" * 6_200), "TOKEN_TOO_LONG"),
        (bench.bearer("acme", filler="x" * 20_000), "TOKEN_TOO_LONG"),
        ((*bench.bearer("acme"), ("x-waybill-tenant", "other")), "TENANT_NOT_OF_TOKEN"),
        ((("x-waybill-service-secret", "x" * 40), ("x-waybill-tenant", "acme")), "SERVICE_SECRET_WRONG"),
        ((("x-waybill-service-secret", ""), *bench.bearer("acme")), "SERVICE_SECRET_WRONG"),
    ]
    for metadata, reason in refused:
        found = await walked(bench, {}, metadata)
        allowed = {reason} | ({"SERVICES_ONLY"} if reason != "SERVICE_SECRET_WRONG" else set())
        wrong = {name: code for name, (code, _) in found.items() if code not in allowed}
        assert not wrong, (reason, wrong)
    assert len(found) > 45


async def test_one_tenants_token_reaches_nothing_of_anothers_by_any_rpc(bench: Bench) -> None:
    mine, theirs = f"a-{uuid.uuid4()}", f"b-{uuid.uuid4()}"
    async with bench.orchestrator() as stub:
        run = await ingested(stub, bench.bearer(mine, "alice"))
        known = {
            "run_id": run.run_id, "run_ids": run.run_id, "id": run.run_id, "collection": "default",
            "correlation_id": run.correlation_id,
            "document_id": run.document_id, "document_key": KEY, "document_keys": KEY,
            "key": f"sources/{SHA256}", "keys": f"sources/{SHA256}", "source_key": f"sources/{SHA256}",
            "source_sha256": SHA256, "query": MARK, "text": MARK,
        }  # fmt: skip
        seen = await walked(bench, known, bench.bearer(theirs, "mallory"))
        leaks = {
            name: answer
            for name, (_, answer) in seen.items()
            if MARK.encode() in answer.replace(KEY.encode(), b"")
            or run.document_id.encode() in answer
            or mine.encode() in answer
        }
        assert not leaks
        assert {
            seen[f"waybill.orchestrator.v1.OrchestratorService.{name}"][0] for name in ("GetRun", "GetTrace")
        } == {"RUN_NOT_FOUND"}
        # Nothing of it was changed, and its own token finds it by many an RPC.
        again = (await stub.GetRun(GetRunRequest(run_id=run.run_id), metadata=bench.bearer(mine))).run
        assert again.state == run.state
        found = await stub.Search(SearchRequest(query=MARK), metadata=bench.bearer(mine))
        assert [hit.document_key for hit in found.hits] == [KEY]
        own = await walked(bench, known, bench.bearer(mine), CHANGING)
        answering = [name for name, (_, answer) in own.items() if MARK.encode() in answer]
        assert len(answering) >= LEAST_THAT_ANSWER, answering


async def test_the_ledgers_writes_and_the_export_of_spans_are_for_services_alone(bench: Bench) -> None:
    found = await walked(bench, {}, bench.bearer("acme"))
    refused = {name for name, (code, _) in found.items() if code == "SERVICES_ONLY"}
    assert refused >= {
        *(f"waybill.ledger.v1.LedgerService.{name}" for name in ("Hold", "Settle", "Release", "Adjust")),
        "opentelemetry.proto.collector.trace.v1.TraceService.Export",
    }
    assert not [name for name in refused if "orchestrator" in name]
    assert all(_services_only(f"/{'/'.join(name.rsplit('.', 1))}") for name in refused)


async def test_a_run_says_who_began_it_and_by_which_key(bench: Bench, database: MigratedPostgres) -> None:
    tenant = f"t-{uuid.uuid4()}"
    async with bench.orchestrator() as stub:
        run = await ingested(stub, bench.bearer(tenant, "alice@example.org"))
    assert (run.subject, run.credential_id) == ("alice@example.org", "key-1")
    with psycopg.connect(database.admin_url) as connection:
        for table in ("waybill_runs.runs", "waybill_parser.jobs"):
            rows = connection.execute(
                f"select subject, credential_id from {table} where tenant = %s",  # noqa: S608 - constants
                [tenant],
            ).fetchall()
            assert rows == [("alice@example.org", "key-1")], table


@pytest.mark.slow
async def test_keys_rotate_under_load_without_a_failed_call(bench: Bench) -> None:
    tenant, stop, done = f"t-{uuid.uuid4()}", asyncio.Event(), 0

    async def caller(stub: Any) -> None:
        nonlocal done
        while not stop.is_set():
            await stub.ListRuns(ListRunsRequest(), metadata=bench.bearer(tenant, f"user-{done}"))
            done += 1

    def more_than(count: int) -> Callable[[], bool]:
        return lambda: done > count

    async with bench.orchestrator() as stub, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(caller(stub))
        for turn in range(2, 5):
            await until(more_than(done + 50))
            # The new key signs at once; the old one stays until its tokens have ended.
            bench.issuer.keys.append(Key.made(f"key-{turn}"))
        stop.set()
    # One at the start of each service, and by the orchestrator at most one more for each new key.
    assert bench.issuer.fetches <= len(CONTRACTS) + 3


async def test_neither_token_nor_secret_appears_in_a_span_an_error_or_a_row(
    bench: Bench, database: MigratedPostgres
) -> None:
    tenant = f"t-{uuid.uuid4()}"
    metadata = bench.bearer(tenant)
    token = metadata[0][1].removeprefix("Bearer ")
    async with bench.orchestrator() as stub:
        await ingested(stub, metadata)
        broken = await walked(bench, {}, (("authorization", f"Bearer {token}x"),))
    secrets = (token, token.rpartition(".")[2], SECRET)
    spans = "\n".join(span.to_json() for span in bench.recorder.exporter.get_finished_spans())
    answers = b"".join(answer for _, answer in broken.values()).decode(errors="replace")
    rows = await asyncio.to_thread(all_rows, database.admin_url)
    assert tenant in spans
    assert tenant in rows
    for place in (spans, answers, rows):
        assert not [secret for secret in secrets if secret in place]


def all_rows(url: str) -> str:
    """Every row of every table of ours, as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname like 'waybill%' or schemaname = 'dbos'"
        ).fetchall()
        return "\n".join(
            str(row)
            for (table,) in tables
            for row in connection.execute(f"select t::text from {table} t").fetchall()  # noqa: S608 - names
        )
