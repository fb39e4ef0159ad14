"""Resumable uploads to the simulated Supabase: true statuses, text, and parts that can be gone on with."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.sim.hosted import ONE, PUBLISHABLE, STORAGE, client
from tests.waiting import until
from waybill.sim.supabase.settings import PART_BYTES, SupabaseSettings
from waybill.sim.supabase.simulator import SupabaseSimulator

PATH = f"{STORAGE}/upload/resumable"
TUS = {"tus-resumable": "1.0.0"}
PART = {**TUS, "content-type": "application/offset+octet-stream"}


def told(**metadata: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())


async def begun(
    http: httpx.AsyncClient, length: int, name: str = "t1/one.txt", path: str = PATH, **headers: str
) -> str:
    """Begins an upload; where it goes on."""
    metadata = told(bucketName="waybill", objectName=name, contentType="text/plain", cacheControl="60")
    more = {**TUS, "upload-length": str(length), "upload-metadata": metadata, **headers}
    made = await http.post(path, headers=more)
    assert made.status_code == 201, made.text
    place = urlsplit(made.headers["location"])
    assert place.scheme == "https"
    assert f"{place.hostname}:{place.port}" == made.request.headers["host"]
    return place.path


async def patch(http: httpx.AsyncClient, place: str, offset: int, content: bytes) -> httpx.Response:
    return await http.patch(place, content=content, headers={**PART, "upload-offset": str(offset)})


async def test_an_object_comes_in_parts_and_is_there_with_the_last(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        place = await begun(http, 10)
        part = await patch(http, place, 0, b"first ")
        assert (part.status_code, part.headers["upload-offset"]) == (204, "6")
        assert (await http.get(ONE)).status_code == 400
        wrong = await patch(http, place, 4, b"x")
        assert (wrong.status_code, wrong.headers["content-type"][:10]) == (409, "text/plain")
        head = await http.head(place, headers=TUS)
        assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("6", "10")
        last = await patch(http, place, 6, b"part")
        assert last.headers["tus-complete"] == "1"
        got = await http.get(ONE)
        assert (got.content, got.headers["cache-control"]) == (b"first part", "max-age=60")
        assert (await http.head(place, headers=TUS)).headers["upload-offset"] == "10"


async def test_a_part_that_is_cut_stays_as_far_as_it_came(project: SupabaseSimulator) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"abc"
        raise ValueError("the client gives up")

    async with client(project) as http:
        place = await begun(http, 6)
        with contextlib.suppress(ValueError):
            await http.patch(
                place, content=cut(), headers={**PART, "upload-offset": "0", "content-length": "6"}
            )
        head = await http.head(place, headers=TUS)
        offset = int(head.headers["upload-offset"])
        assert (await patch(http, place, offset, b"abcdef"[offset:])).headers["tus-complete"] == "1"
        assert (await http.get(ONE)).content == b"abcdef"


async def test_a_key_that_is_taken_is_refused_early_or_at_the_end(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        place = await begun(http, 3)
        await http.post(ONE, content=b"old")
        late = await patch(http, place, 0, b"new")
        assert (late.status_code, late.text) == (409, "The resource already exists")
        assert (await http.get(ONE)).content == b"old"
        metadata = told(bucketName="waybill", objectName="t1/one.txt")
        headers = {**TUS, "upload-length": "3", "upload-metadata": metadata}
        assert (await http.post(PATH, headers=headers)).status_code == 409
        headers["x-upsert"] = "true"
        assert (await http.post(PATH, headers=headers)).status_code == 201
        headers["upload-metadata"] = told(bucketName="none", objectName="x")
        assert (await http.post(PATH, headers=headers)).status_code == 404


async def test_two_at_once_on_one_upload_are_locked_out(project: SupabaseSimulator) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"abc"
        started.set()
        await go_on.wait()
        yield b"def"

    async with client(project) as http:
        place = await begun(http, 6)

        async def came() -> bool:
            return (await http.head(place, headers=TUS)).headers["upload-offset"] == "3"

        headers = {**PART, "upload-offset": "0"}
        first = asyncio.create_task(http.patch(place, content=slow(), headers=headers))
        await started.wait()
        await until(came)
        assert (await patch(http, place, 0, b"xyz")).status_code == 423
        assert (await http.delete(place, headers=TUS)).status_code == 423
        go_on.set()
        assert (await first).status_code == 204


async def test_an_upload_ends_with_its_time_or_by_delete(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        place = await begun(http, 3)
        assert (await http.delete(place, headers=TUS)).status_code == 204
        assert (await patch(http, place, 0, b"abc")).status_code == 404
        place = await begun(http, 3)
        project.clock.advance(24 * 3600 + 1)
        gone = await patch(http, place, 0, b"abc")
        assert (gone.status_code, gone.headers["content-type"][:10]) == (404, "text/plain")


async def test_sizes_roles_and_versions_are_held_to(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        await http.put(
            f"{STORAGE}/bucket/waybill", json={"file_size_limit": 5, "allowed_mime_types": ["text/*"]}
        )
        metadata = told(bucketName="waybill", objectName="x", contentType="text/plain")
        headers = {**TUS, "upload-length": "6", "upload-metadata": metadata}
        assert (await http.post(PATH, headers=headers)).status_code == 413
        assert (await http.post(PATH)).status_code == 412
        place = await begun(http, 3)
        assert (await patch(http, place, 0, b"abcd")).status_code == 413
        assert (await http.head(place, headers=TUS)).headers["upload-offset"] == "0"
        headers["upload-metadata"] = told(bucketName="waybill", objectName="x", contentType="image/png")
        assert (await http.post(PATH, headers={**headers, "upload-length": "1"})).status_code == 415
        assert "creation" in (await http.options(PATH)).headers["tus-extension"]
    async with client(project, PUBLISHABLE) as http:
        assert (await http.post(PATH, headers={**headers, "upload-length": "1"})).status_code == 403
        assert (await patch(http, place, 0, b"abc")).status_code == 403


async def test_the_length_can_come_later_and_the_first_bytes_at_once(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        metadata = told(bucketName="waybill", objectName="t1/one.txt")
        more = {**PART, "upload-defer-length": "1", "upload-metadata": metadata}
        made = await http.post(PATH, headers=more, content=b"abc")
        assert made.headers["upload-offset"] == "3"
        place = urlsplit(made.headers["location"]).path
        headers = {**PART, "upload-offset": "3", "upload-length": "4"}
        assert (await http.patch(place, content=b"d", headers=headers)).headers["tus-complete"] == "1"
        assert (await http.get(ONE)).content == b"abcd"


async def test_a_signed_link_uploads_in_parts_too(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        signed = await http.post(f"{STORAGE}/object/upload/sign/waybill/t1/one.txt", json={})
        token = signed.json()["token"]
    async with client(project, key="") as http:
        place = await begun(http, 3, path=f"{PATH}/sign", **{"x-signature": token})
        assert (await patch(http, place, 0, b"abc")).status_code == 400
        done = await http.patch(
            place, content=b"abc", headers={**PART, "upload-offset": "0", "x-signature": token}
        )
        assert done.headers["tus-complete"] == "1"
        metadata = told(bucketName="waybill", objectName="t1/two.txt")
        headers = {**TUS, "upload-length": "3", "upload-metadata": metadata, "x-signature": token}
        assert (await http.post(f"{PATH}/sign", headers=headers)).status_code == 400


async def test_hosted_projects_take_whole_parts_alone(tmp_path: Path) -> None:
    settings = SupabaseSettings(latency_seconds=0, strict_parts=True, data=tmp_path)
    async with SupabaseSimulator(settings, 0, 0) as sim, client(sim) as http:
        place = await begun(http, PART_BYTES + 3)
        assert (await patch(http, place, 0, b"abc")).status_code == 400
        assert (await patch(http, place, 0, bytes(PART_BYTES))).status_code == 204
    # A restart of the simulator keeps what came.
    async with SupabaseSimulator(settings, 0, 0) as sim, client(sim) as http:
        assert (await patch(http, place, PART_BYTES, b"abc")).headers["tus-complete"] == "1"
        assert (await http.get(ONE)).content[-4:] == b"\0abc"
