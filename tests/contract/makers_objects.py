"""The storage service in process over each backend, and what a test may see of what lies behind it."""

from __future__ import annotations

import asyncio
import datetime
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx2
import psycopg
import pytest

from services.storage.backends.port import ObjectStore, Reading
from services.storage.backends.supabase.config import SupabaseConfig
from services.storage.backends.supabase.opening import Opened
from services.storage.backends.supabase.opening import opened as opened_supabase
from services.storage.config import LinksConfig
from services.storage.objects import Objects
from services.storage.objects_servicer import ObjectStorageServicer
from services.storage.on_disk import LINK_KEYS, objects_on_disk
from tests.conftest import MigratedPostgres
from tests.contract.makers_storage import Headers, channel_to
from waybill.runtime import identity
from waybill.runtime.audit import Audit, log_alone
from waybill.runtime.errors import NotFound
from waybill.runtime.postgres import Database
from waybill.runtime.server import Service
from waybill.sim.supabase.settings import SupabaseSettings
from waybill.sim.supabase.simulator import SupabaseSimulator, simulator
from waybill.storage.v1 import object_storage_service_pb2_grpc as rpc
from waybill.vendors.keys import Keys
from waybill.vendors.retrying import Policy

KEY = "sb_secret_simulated"
NOW = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)
# As production's, in less time.
QUICK = Policy(first_seconds=0.02, most_seconds=0.2)
LIVE_URL = os.environ.get("WAYBILL_LIVE_SUPABASE_URL") or os.environ.get("SUPABASE_STORAGE_URL", "")
LIVE_KEY = os.environ.get("WAYBILL_LIVE_SUPABASE_KEY") or os.environ.get("SUPABASE_KEY", "")
live = pytest.mark.skipif(not LIVE_URL, reason="WAYBILL_LIVE_SUPABASE_URL names no storage server")
BACKENDS = ["local", "supabase", pytest.param("supabase-live", marks=live)]


@dataclass(frozen=True)
class Storage:
    """The service, and what lies behind it.

    Attributes:
        stub: Speaks to it.
        store: Its backend.
        kept: Names of all that the backend keeps, finished or not, once it has swept.
        folders: How many folders it keeps.
        pass_seconds: Moves the time by which links end; None where it cannot be moved.
    """

    stub: rpc.ObjectStorageServiceAsyncStub
    store: ObjectStore
    kept: Callable[[], Awaitable[list[str]]]
    folders: Callable[[], int]
    pass_seconds: Callable[[float], None] | None = None

    async def has_files(self) -> bool:
        """Whether the backend keeps anything."""
        return await self.kept() != []

    async def is_empty(self) -> bool:
        """Whether nothing is left."""
        return await self.kept() == []


@dataclass
class Clock:
    """A time of day that a test moves."""

    now: datetime.datetime = NOW

    def __call__(self) -> datetime.datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        """Moves on."""
        self.now += datetime.timedelta(seconds=seconds)


async def no_documents(tenant: str, collection: str, document_key: str) -> str:
    """Of a service without an index."""
    raise NotFound("DOCUMENT_NOT_FOUND", "The collection has no document of this key.")


@asynccontextmanager
async def serving(store: ObjectStore) -> AsyncIterator[rpc.ObjectStorageServiceAsyncStub]:
    """The service over a backend."""
    add = rpc.add_ObjectStorageServiceServicer_to_server
    servicer = ObjectStorageServicer(Objects(store), no_documents, Audit(log_alone))
    service = Service([(add, servicer)])
    async with channel_to(service) as channel:
        yield rpc.ObjectStorageServiceStub(channel)


@asynccontextmanager
async def over_files(store: ObjectStore, root: Path, clock: Clock | None = None) -> AsyncIterator[Storage]:
    """The service over files in a folder."""

    def files() -> list[str]:
        there = sorted(path for path in root.rglob("*") if path.is_file())
        return [str(path) for path in there if path.name != LINK_KEYS]

    async with serving(store) as stub:
        yield Storage(
            stub,
            store,
            partial(asyncio.to_thread, files),
            lambda: sum(path.is_dir() for path in root.rglob("*")),
            clock.pass_seconds if clock else None,
        )


@dataclass(frozen=True)
class Project:
    """A bucket of its own at a vendor, and our rows about it.

    Attributes:
        config: How to reach it.
        database: Where the rows are.
    """

    config: SupabaseConfig
    database: MigratedPostgres

    @asynccontextmanager
    async def opened(self, policy: Policy = QUICK, grace_seconds: float = 0.0) -> AsyncIterator[Opened]:
        """The backend over it."""
        async with (
            Database.opened(self.database.url("storage")) as database,
            Database.opened(self.database.owner_url("storage"), max_size=1) as owner,
            opened_supabase(self.config, database, owner, lambda: NOW, policy, grace_seconds) as backend,
        ):
            yield backend

    async def objects(self) -> list[str]:
        """Names of the vendor's objects, in all pages of its list."""
        async with self.vendor() as http:
            names, wanted = [], {"prefix": "", "limit": 1000}
            while True:
                page = (await http.post(f"object/list-v2/{self.config.bucket}", json=wanted)).json()
                names += [one["name"] for one in page["objects"]]
                if not page["hasNext"]:
                    return names
                wanted["cursor"] = page["nextCursor"]

    async def rows(self) -> list[str]:
        """Rows of what is no object yet, or no more."""
        select = "select state || ' ' || object_id from waybill_index.objects where state <> 'STORED'"
        async with await psycopg.AsyncConnection.connect(self.database.admin_url) as admin:
            return [row[0] for row in await (await admin.execute(select)).fetchall()]

    async def make_due(self) -> None:
        """Lets the sweep take up all that it would take up later."""
        update = "update waybill_index.objects set due_at = now() where due_at is not null"
        async with await psycopg.AsyncConnection.connect(self.database.admin_url) as admin:
            await admin.execute(update)

    @asynccontextmanager
    async def vendor(self) -> AsyncIterator[httpx2.AsyncClient]:
        """The vendor's API, past ours."""
        key = self.config.keys.current()
        headers = {"apikey": key, "Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(base_url=f"{self.config.storage_url}/", headers=headers) as http:
            yield http


@asynccontextmanager
async def project(database: MigratedPostgres, storage_url: str, key: str) -> AsyncIterator[Project]:
    """A new bucket at a server, and no rows; it is empty and gone in the end."""
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        await admin.execute("delete from waybill_index.objects")
    bucket = f"waybill-test-{uuid.uuid4()}"
    made = Project(SupabaseConfig(Keys([key]), storage_url.rstrip("/"), bucket), database)
    async with made.vendor() as http:
        (await http.post("bucket", json={"id": bucket, "name": bucket})).raise_for_status()
        try:
            yield made
        finally:
            if left := await made.objects():
                await http.request("DELETE", f"object/{bucket}", json={"prefixes": left})
            await http.delete(f"bucket/{bucket}")


@asynccontextmanager
async def simulated(
    database: MigratedPostgres, settings: SupabaseSettings | None = None
) -> AsyncIterator[tuple[SupabaseSimulator, Project]]:
    """A simulated project whose bucket is empty."""
    async with simulator(settings or SupabaseSettings(latency_seconds=0)) as sim:
        url = f"{sim.base_url}/storage/v1"
        async with project(database, url, KEY) as made:
            yield sim, made


@asynccontextmanager
async def over_project(
    made: Project, backend: Opened, pass_seconds: Callable[[float], None] | None = None
) -> AsyncIterator[Storage]:
    """The service over a project."""

    async def kept() -> list[str]:
        await backend.sweeper.turn()
        return [*await made.objects(), *await made.rows()]

    async with serving(backend.store) as stub:
        yield Storage(stub, backend.store, kept, lambda: 0, pass_seconds)


@asynccontextmanager
async def over(name: str, database: MigratedPostgres, root: Path) -> AsyncIterator[Storage]:
    """The service over a backend by its name."""
    async with AsyncExitStack() as stack:
        if name == "local":
            on_disk = objects_on_disk(root, LinksConfig("127.0.0.1:0"), clock := Clock())
            store, _ = await stack.enter_async_context(on_disk)
            made = over_files(store, root, clock)
        else:
            if name == "supabase":
                sim, one = await stack.enter_async_context(simulated(database))
                pass_seconds = sim.clock.advance
            else:
                one = await stack.enter_async_context(project(database, LIVE_URL, LIVE_KEY))
                pass_seconds = None
            made = over_project(one, await stack.enter_async_context(one.opened()), pass_seconds)
        yield await stack.enter_async_context(made)


@asynccontextmanager
async def opened(storage: Storage, headers: Headers, key: str) -> AsyncIterator[Reading]:
    """An object, read past gRPC, which reads ahead."""
    tenant = str(headers[0][1])
    with identity.acting_as(identity.Caller(tenant, "reader")):
        async with Objects(storage.store).open(tenant, key) as reading:
            yield reading


def with_keys(made: Project, *keys: str) -> Project:
    """The same, reached with other keys."""
    return replace(made, config=replace(made.config, keys=Keys(keys)))
