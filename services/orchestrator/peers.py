"""The services that the orchestrator calls, as stubs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from grpc_health.v1.health_pb2_grpc import HealthStub
from opentelemetry.trace import Tracer

from services.orchestrator.config import OrchestratorConfig
from waybill.common.v1.backend_service_pb2_grpc import BackendServiceStub
from waybill.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceStub
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceStub
from waybill.runtime import deadline
from waybill.runtime.channel import connect
from waybill.runtime.errors import Deadline, ServiceError
from waybill.runtime.retry import insist
from waybill.storage.v1.collection_space_service_pb2_grpc import CollectionSpaceServiceStub
from waybill.storage.v1.document_index_service_pb2_grpc import DocumentIndexServiceStub
from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceStub

if TYPE_CHECKING:  # the async stubs exist for type checkers only
    from waybill.common.v1.backend_service_pb2_grpc import BackendServiceAsyncStub
    from waybill.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceAsyncStub
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub
    from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceAsyncStub
    from waybill.storage.v1.collection_space_service_pb2_grpc import CollectionSpaceServiceAsyncStub
    from waybill.storage.v1.document_index_service_pb2_grpc import DocumentIndexServiceAsyncStub
    from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceAsyncStub

T = TypeVar("T")
# How long a service that restarts is waited for.
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Peers:
    """One stub a service."""

    objects: ObjectStorageServiceAsyncStub
    index: DocumentIndexServiceAsyncStub
    parser: ParserServiceAsyncStub
    embedder: EmbedderServiceAsyncStub
    ledger: LedgerServiceAsyncStub
    spaces: CollectionSpaceServiceAsyncStub
    # By service; the library has no types.
    healths: Mapping[str, Any]
    # Of parser, embedder and storage.
    backends: Mapping[str, BackendServiceAsyncStub]


@asynccontextmanager
async def connected(config: OrchestratorConfig, tracer: Tracer) -> AsyncIterator[Peers]:
    """Opens a channel to each service; closes them behind the block."""
    async with AsyncExitStack() as stack:
        storage, parser, embedder, ledger = [
            await stack.enter_async_context(connect(address, tracer, config.server.auth))
            for address in (
                config.storage_address,
                config.parser_address,
                config.embedder_address,
                config.ledger_address,
            )
        ]
        yield Peers(
            objects=ObjectStorageServiceStub(storage),
            index=DocumentIndexServiceStub(storage),
            parser=ParserServiceStub(parser),
            embedder=EmbedderServiceStub(embedder),
            ledger=LedgerServiceStub(ledger),
            spaces=CollectionSpaceServiceStub(storage),
            healths={
                "parser": HealthStub(parser),
                "embedder": HealthStub(embedder),
                "storage": HealthStub(storage),
                "ledger": HealthStub(ledger),
            },
            backends={
                "parser": BackendServiceStub(parser),
                "embedder": BackendServiceStub(embedder),
                "storage": BackendServiceStub(storage),
            },
        )


async def steady(
    operation: Callable[[], Awaitable[T]], also: tuple[type[ServiceError], ...] = (Deadline,)
) -> T:
    """A call that waits out a restart of its service, within the deadline.

    Args:
        operation: Harmless when repeated.
        also: A service that is not there is silent until the call's own time is over. Not of what is bought,
            and may be long under way.

    Raises:
        ServiceError: Also for a failed gRPC call, translated.
    """
    return await insist(operation, seconds=deadline.remaining_seconds(PATIENCE_SECONDS) or 0.0, also=also)
