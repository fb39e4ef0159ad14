"""The official `supabase` package against the simulated project: every call that it has, both its ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from storage3.exceptions import StorageApiError
from storage3.types import FileOptions
from supabase.lib.client_options import AsyncClientOptions, SyncClientOptions

from supabase import acreate_client, create_client
from waybill.sim.remote import Remote

TEXT = b"first page\fsecond page"
ONE, TWO, NONE = "t1/one.txt", "t1/two.txt", "t1/none.txt"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.txt"
    path.write_bytes(TEXT)
    return path


def test_the_synchronous_client_does_all_it_can(supabase_simulator: Remote, file: Path) -> None:
    sim = supabase_simulator
    with httpx.Client(timeout=20) as http:
        storage = create_client(sim.base_url, sim.key, SyncClientOptions(httpx_client=http)).storage
        assert [bucket.id for bucket in storage.list_buckets()] == ["waybill"]
        bucket = storage.from_("waybill")
        kind: FileOptions = {"content-type": "text/plain", "cache-control": "60", "metadata": {"run": "r1"}}
        assert bucket.upload(ONE, file, kind).full_path == f"waybill/{ONE}"
        with pytest.raises(StorageApiError) as refused:
            bucket.upload(ONE, file)
        assert (refused.value.code, refused.value.status) == ("Duplicate", "409")
        info = bucket.info(ONE)
        assert (info["size"], info["cache_control"], info["metadata"]) == (22, "max-age=60", {"run": "r1"})
        assert (bucket.exists(ONE), bucket.exists(NONE)) == (True, False)
        assert bucket.download(ONE) == TEXT
        assert [(row["name"], row["id"] is None) for row in bucket.list()] == [("t1", True)]
        assert [row["name"] for row in bucket.list("t1")] == ["one.txt"]
        assert [one.name for one in bucket.list_v2({"prefix": "t1/"}).objects] == [ONE]
        assert [one.name for one in bucket.list_v2({"with_delimiter": True}).folders] == ["t1/"]
        link = bucket.create_signed_url(ONE, 60, {"download": "a b.txt"})["signedURL"]
        assert httpx.get(str(link)).content == TEXT
        links: list[Any] = bucket.create_signed_urls([ONE, NONE], 60)
        assert [one["error"] is None for one in links] == [True, False]
        assert bucket.copy(ONE, TWO)["Key"] == f"waybill/{TWO}"
        assert bucket.move(TWO, "t1/three.txt")["message"] == "Successfully moved"
        signed = bucket.create_signed_upload_url(TWO)
        bucket.upload_to_signed_url(TWO, signed["token"], file)
        bucket.update(TWO, file)
        assert [row["name"] for row in bucket.remove([TWO, NONE])] == [TWO]
        options = {"public": True, "file_size_limit": "1KB", "allowed_mime_types": ["text/*"]}
        storage.create_bucket("two", options=options)  # type: ignore[arg-type]
        assert storage.get_bucket("two").file_size_limit == 1024
        storage.from_("two").upload("x", file, {"content-type": "text/plain"})
        assert httpx.get(storage.from_("two").get_public_url("x")).content == TEXT
        with pytest.raises(StorageApiError) as refused:
            storage.delete_bucket("two")
        assert refused.value.status == "409"
        storage.update_bucket("two", {"public": False})
        storage.empty_bucket("two")
        storage.delete_bucket("two")


async def test_the_asynchronous_client_does_the_same(supabase_simulator: Remote, file: Path) -> None:
    sim = supabase_simulator
    async with httpx.AsyncClient(timeout=20) as http:
        options = AsyncClientOptions(httpx_client=http)
        storage = (await acreate_client(sim.base_url, sim.key, options)).storage
        bucket = storage.from_("waybill")
        await bucket.upload(ONE, file, {"content-type": "text/plain"})
        assert await bucket.download(ONE) == TEXT
        assert (await bucket.info(ONE))["content_type"] == "text/plain"
        link = (await bucket.create_signed_url(ONE, 60))["signedURL"]
        async with httpx.AsyncClient() as bare:
            assert (await bare.get(str(link))).content == TEXT
        page = await bucket.list_v2({"limit": 1})
        assert ([one.name for one in page.objects], page.hasNext) == ([ONE], False)
        await bucket.copy(ONE, TWO)
        assert [row["name"] for row in await bucket.remove([ONE, TWO, NONE])] == [ONE, TWO]
        with pytest.raises(StorageApiError) as refused:
            await bucket.download(ONE)
        assert refused.value.status == "404"


async def test_a_key_that_the_gateway_refuses_has_no_status_to_read(
    supabase_simulator: Remote, file: Path
) -> None:
    sim = supabase_simulator
    sim.keys.revoke(sim.key)
    async with httpx.AsyncClient(timeout=20) as http:
        options = AsyncClientOptions(httpx_client=http)
        bucket = (await acreate_client(sim.base_url, sim.key, options)).storage.from_("waybill")
        with pytest.raises(StorageApiError) as refused:
            await bucket.upload(ONE, file)
    assert (refused.value.code, refused.value.status) == ("InternalError", 401)
