"""Every RPC of every service takes whatever a stranger sends: no answer is a defect of ours."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from tests.conftest import MigratedPostgres
from tests.contract.makers_fuzz import CONTENT, SHA256, messages
from tests.contract.makers_services import everything
from tests.contract.makers_storage import SPACE
from waybill.embedder.v1 import embedder_service_pb2
from waybill.ledger.v1 import ledger_service_pb2
from waybill.orchestrator.v1 import orchestrator_service_pb2, space_migration_service_pb2
from waybill.orchestrator.v1.orchestrator_service_pb2 import IngestRequest
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from waybill.parser.v1 import parser_service_pb2
from waybill.runtime.channel import send, write
from waybill.runtime.errors import from_status
from waybill.storage.v1 import (
    collection_space_service_pb2,
    document_index_service_pb2,
    object_storage_service_pb2,
)
from waybill.storage.v1.document_index_service_pb2 import BeginVersionRequest
from waybill.storage.v1.document_index_service_pb2_grpc import DocumentIndexServiceStub

EXAMPLES = 30
TENANT = (("x-waybill-tenant", f"fuzz-{uuid.uuid4()}"),)
CONTRACTS = {
    "storage": (object_storage_service_pb2, document_index_service_pb2, collection_space_service_pb2),
    "ledger": (ledger_service_pb2,),
    "parser": (parser_service_pb2,),
    "embedder": (embedder_service_pb2,),
    "orchestrator": (orchestrator_service_pb2, space_migration_service_pb2, trace_service_pb2),
}
DEFECTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
JUNK = [b"\xff\xff\xff", b"\x0a\x05a", b"\x0a\x01\xff"]


def rpcs(modules: Sequence[Any]) -> list[MethodDescriptor]:
    """Every method of the services that the modules declare."""
    services: list[ServiceDescriptor] = [
        service for module in modules for service in module.DESCRIPTOR.services_by_name.values()
    ]
    return [method for service in services for method in service.methods]


async def pieces(*all_of_them: Any) -> AsyncIterator[Any]:
    """A request stream."""
    for one in all_of_them:
        yield one


async def answer(
    channel: grpc.aio.Channel, method: MethodDescriptor, sent: Sequence[bytes]
) -> tuple[grpc.StatusCode, str]:
    """What a call ends as, given these bytes; a deadline bounds those that wait."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    shape = (
        "stream" if method.client_streaming else "unary",
        "stream" if method.server_streaming else "unary",
    )
    call = getattr(channel, "_".join(shape))(path)
    said = {"timeout": 0.5, "metadata": TENANT}
    calling = call(**said) if method.client_streaming else call(sent[0], **said)
    try:
        if method.client_streaming:
            # Given the iterator, grpc.aio cancels a call whose time is over between two messages.
            await write(calling, pieces(*sent))
        if method.server_streaming:
            async for _ in calling:
                pass
        else:
            await calling
    except grpc.aio.AioRpcError as error:
        if from_status(error).reason == "ANSWER_LOST":
            return grpc.StatusCode.UNAVAILABLE, ""  # by grpc.aio: the server's own is not known
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def something(addresses: Mapping[str, str]) -> Mapping[str, str]:
    """Ids that are there: a run, and a version that is being written."""
    header = IngestRequest.Header(
        document_key="a.md", filename="a.md", size_bytes=len(CONTENT), sha256=SHA256
    )
    async with (
        grpc.aio.insecure_channel(addresses["orchestrator"]) as orchestrator,
        grpc.aio.insecure_channel(addresses["storage"]) as storage,
    ):
        sending = OrchestratorServiceStub(orchestrator).Ingest(metadata=TENANT)
        ingested = await send(sending, pieces(IngestRequest(header=header), IngestRequest(data=CONTENT)))
        run_id = ingested.run.run_id
        begin = BeginVersionRequest(
            run_id=run_id,
            collection="default",
            document_key="b.md",
            source_sha256=SHA256,
            recipe="x",
            space=SPACE,
        )
        version = await DocumentIndexServiceStub(storage).BeginVersion(begin, metadata=TENANT)
    return {"run_id": run_id, "run_ids": run_id, "id": run_id, "version_id": version.version_id}


@pytest.mark.slow
# The services draw random numbers while hypothesis draws messages.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
async def test_no_rpc_answers_a_defect_whatever_it_is_sent(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    found: dict[str, set[str]] = {}

    def fuzz(channel: grpc.aio.Channel, method: MethodDescriptor, known: Mapping[str, str]) -> None:
        streamed = [messages(method.input_type, known, place) for place in (0, 1)]

        @settings(
            max_examples=EXAMPLES,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.one_of(st.tuples(*streamed), st.sampled_from(JUNK)))
        def one(drawn: Any) -> None:
            sent = [drawn] if isinstance(drawn, bytes) else [message.SerializeToString() for message in drawn]
            code, details = asyncio.run_coroutine_threadsafe(answer(channel, method, sent), loop).result()
            if code in DEFECTS:
                found.setdefault(method.full_name, set()).add(f"{code.name} {details}\n{str(drawn)[:600]}")

        one()

    async with everything(database, tmp_path / "objects") as addresses:
        known = await something(addresses)
        for name, modules in CONTRACTS.items():
            async with grpc.aio.insecure_channel(addresses[name]) as channel:
                for method in rpcs(modules):
                    await asyncio.to_thread(fuzz, channel, method, known)
    assert not found, "\n".join(f"{name}: {sorted(answers)[:1]}" for name, answers in found.items())
