"""What is left at Supabase is swept: of killed and late uploads, of what was replaced, and of links."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import httpx2
import psycopg
import pytest

from services.storage.backends.port import Link
from services.storage.backends.supabase.links import MAX_OPEN_UPLOADS
from tests.contract.makers_objects import (
    KEY,
    Project,
    with_keys,
)
from tests.contract.makers_storage import header, tenant_headers
from tests.contract.makers_supabase import LARGE, SMALL, TENANT, at, caller, put, read, spec_of, swept
from tests.inprocess import channel
from tests.waiting import until
from waybill.runtime.errors import Quota, ServiceError
from waybill.sim.supabase.settings import JWT_SECRET
from waybill.sim.supabase.simulator import SupabaseSimulator
from waybill.sim.supabase.tokens import legacy_key
from waybill.stack.ports import free_ports
from waybill.storage.v1 import object_storage_service_pb2 as pb
from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceStub

__all__ = ["at", "caller"]
CHECKOUT = Path(__file__).parents[2]


async def test_a_process_killed_in_mid_upload_leaves_the_old_object_and_its_rest_is_swept(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    sim, made = at
    async with made.opened() as backend:
        await put(backend, SMALL)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    environ = os.environ | {
        "WAYBILL_BIND": address,
        "WAYBILL_DATABASE_URL": made.database.url("storage"),
        "WAYBILL_OWNER_DATABASE_URL": made.database.owner_url("storage"),
        "STORAGE_BACKEND": "supabase",
        "SUPABASE_URL": sim.base_url,
        "SUPABASE_KEY": KEY,
        "SUPABASE_BUCKET": made.config.bucket,
    }

    async def half() -> AsyncIterator[pb.PutObjectRequest]:
        yield header("k", LARGE)
        for start in range(0, len(LARGE) - 2_000_000, 1_000_000):
            yield pb.PutObjectRequest(data=LARGE[start : start + 1_000_000])
        await asyncio.Event().wait()

    def parts() -> int:
        return len([one for one in sim.journal if one.operation == "tus.upload.patch"])

    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.storage", cwd=CHECKOUT, env=environ
    )
    try:
        async with channel(address) as opened:
            call = ObjectStorageServiceStub(opened).PutObject(
                half(), metadata=tenant_headers(TENANT), wait_for_ready=True
            )
            await until(lambda: parts() >= 3)
            child.kill()
            await child.wait()
            with pytest.raises(grpc.aio.AioRpcError):
                await call
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    async with made.opened() as backend:
        await backend.sweeper.turn()
        assert [row.partition(" ")[0] for row in await made.rows()] == ["PENDING"], "it may go on"
        await swept(made, backend)
        assert await made.rows() == []
        assert await read(backend) == SMALL
    ended = [one for one in sim.journal if one.operation == "tus.upload.delete"]
    assert [one.status for one in ended] == [204]
    assert len(await made.objects()) == 1


async def test_an_upload_that_the_sweep_has_given_up_becomes_no_object(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    _, made = at
    async with made.opened() as backend:
        await put(backend, SMALL)

        async def late() -> AsyncIterator[bytes]:
            yield b"late"
            await made.make_due()
            await backend.sweeper.turn()

        with pytest.raises(ServiceError, match="STORAGE_UNAVAILABLE"):
            await backend.store.put(TENANT, spec_of(b"late"), late())
        assert await read(backend) == SMALL
        await swept(made, backend)
    assert (len(await made.objects()), await made.rows()) == (1, [])


async def test_what_is_replaced_or_deleted_is_readable_for_a_while_and_then_gone(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    _, made = at
    async with made.opened(grace_seconds=600.0) as backend:
        await put(backend, LARGE)
        async with backend.store.open(TENANT, "k") as reading:
            first = await anext(reading.pieces)
            await put(backend, SMALL)
            await backend.store.delete(TENANT, ["k"])
            await backend.sweeper.turn()
            assert first + b"".join([piece async for piece in reading.pieces]) == LARGE
        await made.make_due()
        await backend.sweeper.turn()
    assert (await made.objects(), await made.rows()) == ([], [])


async def test_a_tenant_whose_objects_cannot_be_swept_holds_up_no_other(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    sim, made = at
    async with made.opened() as backend:
        for tenant in (TENANT, "zeta"):
            await put(backend, SMALL, tenant=tenant)
            await backend.store.delete(tenant, ["k"])
        await made.make_due()
        # The first one's call, and its repeat.
        sim.faults.add("F20:op=object.remove:times=2")
        with pytest.raises(ServiceError, match="VENDOR_ANSWER_INVALID"):
            await backend.sweeper.turn()
        assert len(await made.rows()) == 1
        await made.make_due()
        await backend.sweeper.turn()
    assert (await made.objects(), await made.rows()) == ([], [])


async def test_a_key_that_sees_nothing_makes_the_sweep_forget_nothing(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    _, made = at
    async with made.opened() as backend:
        await put(backend, SMALL)
        await backend.store.delete(TENANT, ["k"])
    async with with_keys(made, legacy_key(JWT_SECRET, "anon")).opened() as backend:
        with pytest.raises(ServiceError, match="VENDOR_BUCKET_UNKNOWN"):
            await backend.sweeper.turn()
    assert len(await made.rows()) == 1
    await made.make_due()
    async with made.opened() as backend:
        await backend.sweeper.turn()
    assert (await made.objects(), await made.rows()) == ([], [])


async def fetch(link: Link, content: bytes | None = None) -> httpx2.Response:
    """What a bare client is answered."""
    async with httpx2.AsyncClient() as http:
        return await http.request(link.method, link.url, headers=dict(link.headers), content=content)


async def test_who_has_a_link_changes_nothing_once_what_came_by_it_is_an_object(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    _, made = at
    async with made.opened() as backend:
        link = await backend.store.sign_upload(TENANT, spec_of(SMALL), 60)
        assert (await fetch(link, SMALL)).status_code == 200
        assert (await backend.store.stat(TENANT, "k")).spec == spec_of(SMALL)
        # As a request of the link would that was under way all the time.
        (first,) = set(await made.objects()) - {f"{TENANT}/{await _stored_id(made)}"}
        async with made.vendor() as http:
            await http.put(f"object/{made.config.bucket}/{first}", content=b"forged")
        assert await read(backend) == SMALL
        await backend.sweeper.turn()
    assert (len(await made.objects()), await made.rows()) == (1, [])


async def _stored_id(made: Project) -> str:
    select = "select object_id::text from waybill_index.objects where state = 'STORED'"
    async with await psycopg.AsyncConnection.connect(made.database.admin_url) as admin:
        rows = await (await admin.execute(select)).fetchall()
    return str(rows[0][0])


@pytest.mark.slow
async def test_open_links_are_counted_so_that_a_listing_asks_about_few(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    _, made = at
    async with made.opened() as backend:
        links = [
            await backend.store.sign_upload(TENANT, spec_of(SMALL, f"k{number}"), 60)
            for number in range(MAX_OPEN_UPLOADS)
        ]
        with pytest.raises(Quota, match="Use them"):
            await backend.store.sign_upload(TENANT, spec_of(SMALL), 60)
        await backend.store.sign_upload("another", spec_of(SMALL), 60)
        # One that was used is open no more, once somebody has looked.
        assert (await fetch(links[0], SMALL)).status_code == 200
        assert (await backend.store.stat(TENANT, "k0")).spec.size_bytes == len(SMALL)
        await backend.store.sign_upload(TENANT, spec_of(SMALL), 60)


async def test_a_vendor_that_answers_nonsense_loses_nothing_that_came_by_a_link(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    sim, made = at
    async with made.opened() as backend:
        link = await backend.store.sign_upload(TENANT, spec_of(SMALL), 60)
        assert (await fetch(link, SMALL)).status_code == 200
        for fault in ("F20:op=object.copy", "F24:op=object.read"):
            sim.faults.add(fault)
            with pytest.raises(ServiceError, match="VENDOR_"):
                await backend.store.stat(TENANT, "k")
            sim.faults.heal()
        assert await read(backend) == SMALL


async def test_what_came_by_a_link_and_nobody_looked_at_is_an_object_and_no_rest(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    _, made = at
    async with made.opened() as backend:
        for key in ("came", "never"):
            link = await backend.store.sign_upload(TENANT, spec_of(SMALL, key), 60)
            if key == "came":
                await fetch(link, SMALL)
        await swept(made, backend)
        assert await read(backend, "came") == SMALL
        with pytest.raises(ServiceError, match="OBJECT_NOT_FOUND"):
            await read(backend, "never")
    assert (len(await made.objects()), await made.rows()) == (1, [])
