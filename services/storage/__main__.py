"""Starts the storage service: `python -m services.storage`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from services.storage import backfill, links, sweep, switching
from services.storage.backends.port import ObjectStore
from services.storage.config import StorageConfig
from services.storage.egress import Egress
from services.storage.index_servicer import DocumentIndexServicer
from services.storage.objects import Objects
from services.storage.objects_servicer import ObjectStorageServicer
from services.storage.space_servicer import CollectionSpaceServicer
from services.storage.sweep import Patience, Sweeper
from services.storage.vector_index import Builder
from waybill.common.v1.backend_pb2 import Mode
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.runtime import server
from waybill.runtime.audit import Audit, log_alone, to_ledger
from waybill.runtime.channel import connect
from waybill.runtime.clock import utc_now
from waybill.runtime.loops import repeating
from waybill.runtime.postgres import Database
from waybill.runtime.retention import prune, pruning
from waybill.runtime.semconv import LOCAL
from waybill.runtime.telemetry import Telemetry
from waybill.storage.v1 import collection_space_service_pb2_grpc as space_grpc
from waybill.storage.v1 import document_index_service_pb2_grpc as index_grpc
from waybill.storage.v1 import object_storage_service_pb2_grpc as objects_grpc
from waybill.vendors.backends import Backends, registration
from waybill.vendors.health import Probe, watched
from waybill.vendors.registry import SUPABASE

if TYPE_CHECKING:  # the async stubs exist for type checkers only
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

PATIENCE = Patience()


@dataclass(frozen=True)
class Chosen:
    """The parts that depend on the backend."""

    store: ObjectStore
    probes: Mapping[str, Probe]
    lack: Callable[[], str] = str


@asynccontextmanager
async def build(
    config: StorageConfig, telemetry: Telemetry, patience: Patience = PATIENCE
) -> AsyncIterator[server.Service]:
    """Joins the storage service's parts; tests call it with a configuration of their own."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.opened(config.database_url))
        owner = await stack.enter_async_context(Database.opened(config.owner_database_url, max_size=1))
        channel = connect(config.ledger_address, telemetry.tracer, config.server.auth)
        ledger = LedgerServiceStub(await stack.enter_async_context(channel))
        audit = Audit(to_ledger(ledger) if config.ledger_address else log_alone)
        chosen = await stack.enter_async_context(_chosen(config, telemetry, database, owner, ledger))
        if config.supabase is not None:
            config.supabase.keys.audited(audit, SUPABASE.name)
        sweeper = Sweeper(owner, patience)
        await stack.enter_async_context(sweeper.running())
        await stack.enter_async_context(Builder(owner, config.owner_database_url).running())
        await stack.enter_async_context(
            repeating("backfill", partial(backfill.turn, owner), backfill.LOOK_SECONDS)
        )
        await stack.enter_async_context(
            pruning(config.server.keep_days, partial(prune, owner, (sweep.FORGET,)))
        )
        finished = asyncio.Event()
        await stack.enter_async_context(
            repeating("former vectors", partial(switching.drop, owner), switching.DROP_LOOK_SECONDS, finished)
        )
        index = DocumentIndexServicer(database, owner, sweeper.wake)
        yield server.Service(
            rpcs=[
                (
                    objects_grpc.add_ObjectStorageServiceServicer_to_server,
                    ObjectStorageServicer(Objects(chosen.store), partial(links.source_of, database), audit),
                ),
                (index_grpc.add_DocumentIndexServiceServicer_to_server, index),
                (
                    space_grpc.add_CollectionSpaceServiceServicer_to_server,
                    CollectionSpaceServicer(database, owner, finished.set),
                ),
                registration(_backends(config, chosen)),
            ],
            backends={**chosen.probes, "storage/postgres": database.ping},
            audit=audit,
        )


def _backends(config: StorageConfig, chosen: Chosen) -> Backends:
    if config.supabase is None:
        return Backends("storage", Mode.MODE_LOCAL, [LOCAL])
    return Backends("storage", config.mode, [SUPABASE.name], config.supabase.kind, lack=chosen.lack)


@asynccontextmanager
async def _chosen(
    config: StorageConfig,
    telemetry: Telemetry,
    database: Database,
    owner: Database,
    ledger: LedgerServiceAsyncStub,
) -> AsyncIterator[Chosen]:
    if config.supabase is None:
        assert config.objects_dir is not None, "the local backend's settings need it"
        # Each backend's libraries are loaded for it alone.
        from services.storage.on_disk import objects_on_disk

        async with objects_on_disk(config.objects_dir, config.links, utc_now) as (store, probes):
            yield Chosen(store, probes)
        return
    from services.storage.backends.supabase.opening import opened

    egress = Egress(ledger, SUPABASE.name, config.supabase.kind, utc_now)
    async with (
        egress.telling(),
        opened(config.supabase, database, owner, utc_now, came=egress.count) as supabase,
    ):
        healthy = supabase.store.healthy
        probes = watched(SUPABASE, healthy, supabase.breaker, telemetry)
        yield Chosen(supabase.store, probes, lambda: supabase.breaker.lack)


if __name__ == "__main__":
    settings = StorageConfig.from_env(os.environ)
    server.run(settings.server, lambda telemetry: build(settings, telemetry), settings.database_url)
