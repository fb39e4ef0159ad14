"""The Supabase backend beyond its faults: cuts, keys, health, tenants, and what must not be told."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import psycopg
import pytest
from structlog.testing import capture_logs

from services.storage.__main__ import build
from services.storage.backends.supabase.opening import Opened
from services.storage.backends.supabase.uploads import PART_BYTES
from services.storage.config import StorageConfig
from tests.conftest import MigratedPostgres
from tests.contract.makers_objects import (
    KEY,
    LIVE_KEY,
    LIVE_URL,
    Project,
    live,
    project,
    simulated,
    with_keys,
)
from tests.contract.makers_storage import messages
from tests.contract.makers_supabase import LARGE, SMALL, TENANT, at, caller, put, read
from tests.cutting import Way, way
from tests.inprocess import Recorder, channel, served, server_config
from waybill.sim.journal import Entry
from waybill.sim.supabase.settings import JWT_SECRET
from waybill.sim.supabase.simulator import SupabaseSimulator
from waybill.sim.supabase.tokens import legacy_key
from waybill.storage.v1 import object_storage_service_pb2 as pb
from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceStub
from waybill.vendors.health import VendorHealth
from waybill.vendors.keys import Keys

__all__ = ["at", "caller"]
CUTS = 10


@asynccontextmanager
async def cut_way(made: Project, places: Sequence[int], *, up: bool) -> AsyncIterator[tuple[Way, Opened]]:
    """The backend over a project that is reached by a way with cuts."""
    url = urlsplit(made.config.storage_url)
    assert url.port
    async with way(url.port, places, up=up) as cut:
        config = replace(made.config, storage_url=f"http://{cut.address}{url.path}")
        async with replace(made, config=config).opened() as backend:
            yield cut, backend


@pytest.fixture(params=["simulator", pytest.param("live", marks=live)])
async def either(
    request: pytest.FixtureRequest, database: MigratedPostgres
) -> AsyncIterator[tuple[Project, list[Entry]]]:
    """A project, empty, and what its simulator sees; of a real server nothing is seen."""
    if request.param == "simulator":
        async with simulated(database) as (sim, made):
            yield made, sim.journal
    else:
        async with project(database, LIVE_URL, LIVE_KEY) as made:
            yield made, []


async def test_an_upload_cut_at_ten_places_sends_no_more_than_a_part_again_for_each(
    either: tuple[Project, list[Entry]],
) -> None:
    made, seen = either
    places = random.Random(15).sample(range(1, len(LARGE)), CUTS)
    async with cut_way(made, places, up=True) as (cut, backend):
        await put(backend, LARGE)
        assert cut.cuts_left == 0
        assert cut.passed_bytes <= len(LARGE) + CUTS * PART_BYTES
        assert await read(backend) == LARGE
    assert len([one for one in seen if one.operation == "tus.create" and one.status == 201]) <= 1


async def test_a_download_cut_at_ten_places_goes_on_where_it_broke(
    either: tuple[Project, list[Entry]],
) -> None:
    made, seen = either
    async with made.opened() as backend:
        await put(backend, LARGE)
    places = random.Random(16).sample(range(1, len(LARGE)), CUTS)
    async with cut_way(made, places, up=False) as (cut, backend):
        assert await read(backend) == LARGE
        assert cut.cuts_left == 0
        # What was on its way when the connection broke, and the headers.
        assert cut.passed_bytes <= len(LARGE) + CUTS * 512 * 1024
    if seen:
        ranges = [one.headers.get("range", "") for one in seen if one.operation == "object.read"]
        starts = [int(re.findall(r"\d+", one)[0]) for one in ranges[1:]]
        assert len(ranges) == 1 + CUTS
        assert starts == sorted(starts)
        assert starts[0] > 0


async def test_every_path_at_the_vendor_begins_with_its_tenant_and_holds_nothing_of_the_key(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    _, made = at
    async with made.opened() as backend:
        for key in ("../other/k", "ünïcødé %2e%2e/日本語"[:20], "k"):
            await put(backend, SMALL, key)
    uuid = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
    assert all(re.fullmatch(f"{TENANT}/{uuid}", name) for name in await made.objects())


async def test_rows_of_a_tenant_are_seen_and_written_by_no_other(
    at: tuple[SupabaseSimulator, Project],
) -> None:
    _, made = at
    async with made.opened() as backend:
        await put(backend, SMALL)
    count = "select count(*) from waybill_index.objects"
    seen = {}
    for tenant in (TENANT, "another", ""):
        async with await psycopg.AsyncConnection.connect(made.database.url("storage")) as connection:
            await connection.execute("select set_config('waybill.tenant', %s, true)", [tenant])
            seen[tenant] = (await (await connection.execute(count)).fetchall())[0][0]
            if tenant != TENANT:
                updated = await connection.execute("update waybill_index.objects set key = 'stolen'")
                assert updated.rowcount == 0
    assert seen == {TENANT: 1, "another": 0, "": 0}


async def test_both_kinds_of_key_work_and_another_takes_over_without_a_restart(
    at: tuple[SupabaseSimulator, Project], tmp_path: Path
) -> None:
    sim, made = at
    async with with_keys(made, legacy_key(JWT_SECRET, "service_role")).opened() as backend:
        await put(backend, SMALL)
    async with with_keys(made, "sb_secret_one", "sb_secret_two").opened() as backend:
        sim.keys.revoke("sb_secret_one")
        assert await read(backend) == SMALL
    file = tmp_path / "key"
    file.write_text("sb_secret_three")
    in_file = replace(made, config=replace(made.config, keys=Keys([], file)))
    async with in_file.opened() as backend:
        assert await read(backend) == SMALL
        file.write_text(f"{KEY}\n")
        sim.keys.revoke("sb_secret_three")
        await put(backend, LARGE)
        assert await read(backend) == LARGE


@pytest.mark.parametrize(
    ("key", "bucket", "reason"),
    [
        (KEY, "", ""),
        (KEY, "no-such-bucket", "VENDOR_BUCKET_UNKNOWN"),
        (legacy_key(JWT_SECRET, "anon"), "", "VENDOR_BUCKET_UNKNOWN"),
        ("sb_publishable_x", "", "VENDOR_BUCKET_UNKNOWN"),
        ("eyJ.no.key", "", "CREDENTIAL"),
        ("nonsense", "", "CREDENTIAL"),
    ],
)
async def test_health_says_what_is_wrong_with_bucket_role_or_key(
    at: tuple[SupabaseSimulator, Project], key: str, bucket: str, reason: str
) -> None:
    _, made = at
    config = replace(made.config, keys=Keys([key]), bucket=bucket or made.config.bucket)
    async with replace(made, config=config).opened() as backend:
        health = VendorHealth(backend.store.healthy)
        with capture_logs() as logs:
            assert await health.works() == (not reason)
            assert await health.takes_key() == (reason != "CREDENTIAL")
    assert [one["reason"] for one in logs if one["log_level"] == "warning"] == [reason] * bool(reason)
    assert key not in str(logs)


@pytest.mark.slow
async def test_no_key_no_token_and_no_link_is_in_a_log_a_span_an_error_or_a_row(
    at: tuple[SupabaseSimulator, Project], caplog: pytest.LogCaptureFixture
) -> None:
    sim, made = at
    jwt = legacy_key(JWT_SECRET, "service_role")
    recorder, links, errors = Recorder(), [], []
    database = made.database
    caplog.set_level(logging.DEBUG)
    keyed = replace(made.config, keys=Keys([KEY, jwt]), attempt_seconds=0.5)
    config = StorageConfig(
        server_config("storage"), database.url("storage"), database.owner_url("storage"), None, keyed
    )
    with capture_logs() as logs:
        async with (
            served("storage", partial(build, config), recorder) as address,
            channel(address, recorder) as opened,
        ):
            stub = ObjectStorageServiceStub(opened)
            for fault in ("", "F12:times=1", "F24:times=9", "F9:times=9", "F20:op=object.sign", "F3:times=1"):
                if fault:
                    sim.faults.add(fault)
                for call in (
                    stub.PutObject(iter(messages("k", SMALL)), timeout=9),
                    stub.StatObject(pb.StatObjectRequest(key="k"), timeout=9),
                    stub.SignDownload(pb.SignDownloadRequest(key="k"), timeout=9),
                    stub.SignUpload(pb.SignUploadRequest(key="u", sha256="0" * 64), timeout=9),
                ):
                    try:
                        answer = await call
                        links += [answer.link.url] if hasattr(answer, "link") else []
                    except grpc.aio.AioRpcError as error:
                        errors.append(str(error))
                sim.faults.heal()
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        rows = await (await admin.execute("select objects::text from waybill_index.objects")).fetchall()
    spans = [span.to_json() for span in recorder.exporter.get_finished_spans()]
    assert all((links, errors, spans, rows))
    seen = "\n".join([str(logs), caplog.text, *spans, *errors, *map(str, rows)])
    for secret in (KEY, jwt, "eyJ", "token=", *links):
        assert secret not in seen
