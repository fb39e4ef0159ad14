"""The simulated Supabase Storage over a socket, in what the official SDK hides."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sim.hosted import INFO, ONE, PUBLISHABLE, STORAGE, client, told
from waybill.sim.supabase.settings import SupabaseSettings
from waybill.sim.supabase.simulator import SupabaseSimulator

TEXT = b"first page\fsecond page"


async def test_an_object_comes_back_with_its_type_and_an_etag(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        made = await http.post(ONE, content=TEXT, headers={"content-type": "text/plain"})
        assert made.json()["Key"] == "waybill/t1/one.txt"
        got = await http.get(ONE)
        assert (got.status_code, got.content, got.headers["content-type"]) == (200, TEXT, "text/plain")
        assert got.headers["etag"] == f'"{hashlib.md5(TEXT, usedforsecurity=False).hexdigest()}"'
        assert got.headers["cache-control"] == "no-cache"
        info = (await http.get(INFO)).json()
        assert (info["id"], info["size"], info["name"]) == (made.json()["Id"], len(TEXT), "t1/one.txt")
        head = await http.head(ONE)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(TEXT)))


async def test_a_range_is_206_and_one_beyond_the_end_a_true_416(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        await http.post(ONE, content=TEXT)
        part = await http.get(ONE, headers={"range": "bytes=6-9"})
        assert (part.status_code, part.content) == (206, TEXT[6:10])
        assert part.headers["content-range"] == f"bytes 6-9/{len(TEXT)}"
        beyond = await http.get(ONE, headers={"range": "bytes=900-"})
        assert told(beyond) == (416, "416", "InvalidRange")
        same = await http.get(ONE, headers={"if-none-match": part.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")


async def test_errors_are_400_on_the_wire_with_the_true_status_as_text(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        assert told(await http.get(ONE)) == (400, "404", "NoSuchKey")
        head = await http.head(ONE)
        assert (head.status_code, head.content) == (400, b"")
        await http.post(ONE, content=TEXT)
        assert told(await http.post(ONE, content=TEXT)) == (400, "409", "KeyAlreadyExists")
        assert told(await http.get(f"{STORAGE}/bucket/none")) == (400, "404", "NoSuchBucket")
        assert told(await http.post(f"{STORAGE}/object/waybill/ä", content=TEXT)) == (
            400,
            "400",
            "InvalidKey",
        )
        lost = await http.get(f"{STORAGE}/nothing/here")
        assert (lost.status_code, lost.json()["statusCode"]) == (404, 404)


async def test_a_key_decides_the_role_and_a_bad_one_is_the_gateways_401(project: SupabaseSimulator) -> None:
    project.keys.revoke("sb_secret_old")
    async with client(project, "sb_secret_old") as http:
        refused = await http.get(ONE)
        assert (refused.status_code, set(refused.json())) == (401, {"message"})
    async with client(project, "sb_publishable_any") as http:
        assert told(await http.post(ONE, content=TEXT)) == (400, "403", "AccessDenied")
        assert (await http.get(f"{STORAGE}/bucket")).json() == []
        assert (await http.post(f"{STORAGE}/object/list-v2/waybill", json={})).json()["objects"] == []
    async with client(project, key="", bearer="sb_secret_alone") as http:
        assert told(await http.get(f"{STORAGE}/bucket")) == (400, "403", "AccessDenied")
    async with client(project, key="") as http:
        assert told(await http.post(ONE, content=TEXT)) == (400, "400", "InvalidRequest")
        assert told(await http.get(ONE)) == (400, "404", "NoSuchBucket")


async def test_what_a_policy_hides_is_not_found_and_a_batch_says_nothing_of_it(
    project: SupabaseSimulator,
) -> None:
    async with client(project) as http:
        await http.post(ONE, content=TEXT)
        gone = await http.request(
            "DELETE",
            f"{STORAGE}/object/waybill",
            json={"prefixes": ["t1/one.txt", "t1/none.txt", "t1/one.txt", 7]},
        )
        assert [row["name"] for row in gone.json()] == ["t1/one.txt"]
        await http.post(ONE, content=TEXT)
    async with client(project, PUBLISHABLE) as http:
        assert told(await http.get(INFO)) == (400, "404", "NoSuchKey")
        gone = await http.request("DELETE", f"{STORAGE}/object/waybill", json={"prefixes": ["t1/one.txt"]})
        assert (gone.status_code, gone.json()) == (200, [])


async def test_a_link_needs_no_key_and_holds_for_its_object_and_its_time(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        await http.post(ONE, content=TEXT)
        await http.post(f"{STORAGE}/object/waybill/t1/two.txt", content=b"two")
        signed = await http.post(f"{STORAGE}/object/sign/waybill/t1/one.txt", json={"expiresIn": 60})
        link = STORAGE + signed.json()["signedURL"]
        unknown = await http.post(f"{STORAGE}/object/sign/waybill/none", json={"expiresIn": 60})
        assert told(unknown) == (400, "404", "NoSuchKey")
    async with client(project, key="") as http:
        got = await http.get(link, params={"download": "a b.txt"} | {"token": link.partition("token=")[2]})
        assert (got.content, "expires" in got.headers) == (TEXT, True)
        assert (
            got.headers["content-disposition"] == "attachment; filename=a%20b.txt; filename*=UTF-8''a%20b.txt"
        )
        assert told(await http.get(link.replace("one.txt", "two.txt"))) == (400, "400", "InvalidSignature")
        assert told(await http.get(link[:-3])) == (400, "400", "InvalidJWT")
        project.clock.advance(61)
        assert told(await http.get(link)) == (400, "400", "InvalidJWT")


async def test_list_v2_goes_by_name_in_pages(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        for name in ("b/2", "a", "b/1", "c/x/y", "B"):
            await http.post(f"{STORAGE}/object/waybill/{name}", content=name.encode())
        names: list[str] = []
        page: dict[str, object] = {"hasNext": True, "nextCursor": ""}
        while page["hasNext"]:
            asked = {"limit": 2, "cursor": page["nextCursor"]}
            page = (await http.post(f"{STORAGE}/object/list-v2/waybill", json=asked)).json()
            names += [row["name"] for row in page["objects"]]  # type: ignore[attr-defined]
        assert names == ["B", "a", "b/1", "b/2", "c/x/y"]
        bad = await http.post(f"{STORAGE}/object/list-v2/waybill", json={"cursor": "!!"})
        assert told(bad) == (400, "400", "InvalidParameter")
        gone = await http.post(f"{STORAGE}/object/list-v2/none", json={})
        assert (gone.status_code, gone.json()["objects"]) == (200, [])


async def test_two_creates_at_once_are_both_told_that_they_made_it(project: SupabaseSimulator) -> None:
    """Which the real server does: the look at the key comes before the bytes."""
    both = asyncio.Barrier(2)

    async def slowly(content: bytes) -> object:
        async def body() -> AsyncIterator[bytes]:
            yield content[:1]
            await both.wait()
            yield content[1:]

        async with client(project) as http:
            made = await http.post(ONE, content=body())
            assert made.status_code == 200, made.text
            return made.json()["Id"]

    ids = await asyncio.gather(slowly(b"one"), slowly(b"two"))
    assert ids[0] == ids[1]


async def test_objects_stay_over_a_restart_of_the_simulator(tmp_path: Path) -> None:
    settings = SupabaseSettings(latency_seconds=0, data=tmp_path)
    async with SupabaseSimulator(settings, 0, 0) as sim, client(sim) as http:
        first = (await http.post(ONE, content=TEXT)).json()["Id"]
    async with SupabaseSimulator(settings, 0, 0) as sim, client(sim) as http:
        assert (await http.get(ONE)).content == TEXT
        second = (await http.post(ONE.replace("one", "two"), content=b"2")).json()["Id"]
        assert second != first
        assert (await http.get(ONE)).content == TEXT


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "incoming" / "letter.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(ValueError, match="neither empty nor a simulated project"):
        SupabaseSimulator(SupabaseSettings(data=tmp_path), 0, 0)
    assert kept.exists()


async def test_a_download_goes_on_while_its_object_is_replaced(project: SupabaseSimulator) -> None:
    old = bytes(8 * 2**20)
    async with client(project) as http:
        await http.post(ONE, content=old)
        async with http.stream("GET", ONE) as reply:
            pieces = reply.aiter_raw()
            got = len(await anext(pieces))
            assert (await http.put(ONE, content=b"new")).status_code == 200
            async for piece in pieces:
                got += len(piece)
        assert got == len(old)
        assert (await http.get(ONE)).content == b"new"
