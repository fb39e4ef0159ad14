"""Each fault of Supabase's catalogue, as it is on the wire, and that it ends when it is healed."""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

import httpx
import pytest

from tests.sim.hosted import INFO, ONE, PUBLISHABLE, STORAGE, client, told
from waybill.sim.supabase.simulator import SupabaseSimulator
from waybill.sim.supabase.users import Users

TEXT = b"first page\fsecond page"
TWO = ONE.replace("one", "two")
SIGN, SIGN_BODY = f"{STORAGE}/object/sign/waybill/t1/one.txt", {"expiresIn": 60}
LIST, REMOVE = f"{STORAGE}/object/list-v2/waybill", f"{STORAGE}/object/waybill"
RESUMABLE = f"{STORAGE}/upload/resumable"
TUS = {"tus-resumable": "1.0.0"}
PART = {**TUS, "content-type": "application/offset+octet-stream"}
# As one client or another has it: the end of a connection.
LOST = (httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError)


async def begun(http: httpx.AsyncClient, length: int) -> str:
    """Begins a resumable upload of t1/one.txt; the last part of where it goes on."""
    pairs = {"bucketName": "waybill", "objectName": "t1/one.txt"}
    metadata = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in pairs.items())
    headers = {**TUS, "upload-length": str(length), "upload-metadata": metadata}
    return (await http.post(RESUMABLE, headers=headers)).headers["location"].rpartition("/")[2]


async def part(http: httpx.AsyncClient, upload: str, offset: int, content: bytes) -> httpx.Response:
    headers = {**PART, "upload-offset": str(offset)}
    return await http.patch(f"{RESUMABLE}/{upload}", content=content, headers=headers)


async def offset(http: httpx.AsyncClient, upload: str) -> str:
    return (await http.head(f"{RESUMABLE}/{upload}", headers=TUS)).headers["upload-offset"]


async def test_f1_connections_are_refused_until_it_is_healed(project: SupabaseSimulator) -> None:
    project.faults.add("F1")
    async with client(project) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{STORAGE}/status")
        project.faults.heal()
        assert (await http.get(f"{STORAGE}/status")).status_code == 200


async def test_f2_the_connection_ends_without_a_word(project: SupabaseSimulator) -> None:
    project.faults.add("F2:n=1")
    async with client(project) as http:
        with pytest.raises(LOST):
            await http.post(ONE, content=TEXT)
        assert told(await http.get(ONE)) == (400, "404", "NoSuchKey")


async def test_f3_no_headers_come(project: SupabaseSimulator) -> None:
    project.faults.add("F3:n=1")
    async with client(project, seconds=0.3) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get(f"{STORAGE}/status")


async def test_f4_a_download_stalls_at_half(project: SupabaseSimulator) -> None:
    await stored(project)
    project.faults.add("F4:n=1")
    got = b""
    async with client(project, seconds=2.0) as http:
        with pytest.raises(httpx.ReadTimeout):
            async with http.stream("GET", ONE) as reply:
                assert reply.headers["content-length"] == str(len(TEXT))
                async for piece in reply.aiter_raw():
                    got += piece
    assert got == TEXT[: len(TEXT) // 2]


async def test_f5_a_download_ends_short_of_its_length(project: SupabaseSimulator) -> None:
    await stored(project)
    project.faults.add("F5:n=1")
    async with client(project) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(ONE)
        assert (await http.get(ONE, headers={"range": "bytes=11-"})).content == TEXT[11:]


async def test_f6_an_upload_that_is_cut_leaves_what_was_there(project: SupabaseSimulator) -> None:
    project.faults.add("F6:times=2")
    async with client(project) as http:
        with pytest.raises(LOST):
            await http.post(ONE, content=bytes(10**6))
        assert told(await http.get(INFO)) == (400, "404", "NoSuchKey")
    project.faults.heal()
    await stored(project)
    project.faults.add("F6:n=1")
    async with client(project) as http:
        with pytest.raises(LOST):
            await http.put(ONE, content=bytes(10**6))
        assert (await http.get(ONE)).content == TEXT


async def test_f6_a_resumable_part_that_is_cut_can_be_gone_on_with(project: SupabaseSimulator) -> None:
    project.faults.add("F6:op=tus.upload.patch:n=1")
    whole = bytes(range(256)) * 4096
    async with client(project) as http:
        upload = await begun(http, len(whole))
        with pytest.raises(LOST):
            await part(http, upload, 0, whole)
        came = int(await offset(http, upload))
        assert 0 <= came < len(whole)
        assert (await part(http, upload, came, whole[came:])).headers["tus-complete"] == "1"
        assert (await http.get(ONE)).content == whole


async def test_f7_the_reply_is_lost_after_the_work(project: SupabaseSimulator) -> None:
    """What came of it is found by a look."""
    async with client(project) as http:
        project.faults.add("F7:n=1")
        with pytest.raises(LOST):
            await http.post(ONE, content=TEXT)
        assert (await http.get(INFO)).json()["size"] == len(TEXT)
        project.faults.add("F7:op=object.move:n=1,F7:op=object.sign:n=1,F7:op=object.delete:n=1")
        with pytest.raises(LOST):
            await http.post(SIGN, json=SIGN_BODY)
        move = {"bucketId": "waybill", "sourceKey": "t1/one.txt", "destinationKey": "t1/two.txt"}
        with pytest.raises(LOST):
            await http.post(f"{STORAGE}/object/move", json=move)
        assert ((await http.get(INFO)).status_code, (await http.get(TWO)).content) == (400, TEXT)
        with pytest.raises(LOST):
            await http.delete(TWO)
        assert told(await http.get(TWO)) == (400, "404", "NoSuchKey")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("F8", 429, "SlowDown"), ("F9", 500, "InternalError"), ("F11", 544, "DatabaseTimeout")],
)
async def test_f8_f9_f11_an_overload_is_a_true_status_without_retry_after(
    project: SupabaseSimulator, fault: str, status: int, code: str
) -> None:
    project.faults.add(f"{fault}:n=1")
    async with client(project) as http:
        refused = await http.post(ONE, content=TEXT)
        assert told(refused) == (status, str(status), code)
        assert "retry-after" not in refused.headers
        assert (await http.post(ONE, content=TEXT)).status_code == 200


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_f10_the_gateway_answers_html(project: SupabaseSimulator, status: int) -> None:
    project.faults.add(f"F10/{status}:n=1")
    async with client(project) as http:
        refused = await http.get(f"{STORAGE}/bucket/waybill")
        assert (refused.status_code, refused.headers["content-type"]) == (status, "text/html")


@pytest.mark.parametrize("variant", ["", "/html", "/empty"])
async def test_f12_the_gateways_401_has_no_status_in_its_body(
    project: SupabaseSimulator, variant: str
) -> None:
    project.faults.add(f"F12{variant}:n=1")
    async with client(project) as http:
        refused = await http.get(f"{STORAGE}/bucket/waybill")
        assert (refused.status_code, b"statusCode" in refused.content) == (401, False)


async def test_f13_a_token_expires_in_the_middle_of_a_session(project: SupabaseSimulator) -> None:
    users: Users = project.users
    token = users.token(tenant="t1", role="service_role", seconds=60)["token"]
    async with client(project, PUBLISHABLE, bearer=token) as http:
        assert (await http.post(ONE, content=TEXT)).status_code == 200
        project.faults.add("F13:n=1")
        refused = await http.put(ONE, content=TEXT)
        assert told(refused) == (400, "403", "AccessDenied")
        assert (await http.put(ONE, content=TEXT)).status_code == 200
        project.clock.advance(61)
        assert (await http.put(ONE, content=TEXT)).json() == refused.json()


async def test_f14_a_key_is_revoked(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        project.faults.add("F14:n=1,F14/bare:n=1")
        assert (await http.get(f"{STORAGE}/bucket/waybill")).status_code == 401
        project.faults.heal()
        project.faults.add("F14/bare:n=1")
        assert told(await http.get(f"{STORAGE}/bucket/waybill")) == (400, "403", "AccessDenied")
        project.keys.revoke(http.headers["apikey"])
        assert (await http.get(f"{STORAGE}/bucket/waybill")).status_code == 401


async def test_f15_the_gateway_ends_an_upload_early_with_413(project: SupabaseSimulator) -> None:
    project.faults.add("F15:n=1")
    async with client(project) as http:
        refused = await http.post(ONE, content=bytes(4 * 2**20))
        assert (refused.status_code, refused.headers["connection"]) == (413, "close")
        assert refused.headers["content-type"] == "text/html"
        assert told(await http.get(INFO)) == (400, "404", "NoSuchKey")


async def test_f16_f17_a_part_is_locked_out_or_stored_without_a_reply(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        upload = await begun(http, 6)
        project.faults.add("F16:n=1")
        locked = await part(http, upload, 0, b"abc")
        assert (locked.status_code, locked.headers["content-type"][:10]) == (423, "text/plain")
        assert await offset(http, upload) == "0"
        project.faults.add("F17:n=1")
        with pytest.raises(LOST):
            await part(http, upload, 0, b"abc")
        assert await offset(http, upload) == "3"
        assert (await part(http, upload, 0, b"abc")).status_code == 409
        assert (await part(http, upload, 3, b"def")).status_code == 204


async def test_f17_the_last_parts_reply_is_lost(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        upload = await begun(http, 3)
        project.faults.add("F17:n=1")
        with pytest.raises(LOST):
            await part(http, upload, 0, b"abc")
        assert (await offset(http, upload), (await http.get(ONE)).content) == ("3", b"abc")


async def test_f18_an_upload_has_expired(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        upload = await begun(http, 6)
        project.faults.add("F18")
        assert (await part(http, upload, 0, b"abc")).status_code == 404
        assert (await http.head(f"{RESUMABLE}/{upload}", headers=TUS)).status_code == 404


async def test_f19_two_creates_of_one_key_both_succeed(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        project.faults.add("F19:times=2")
        first, second = await http.post(ONE, content=b"first"), await http.post(ONE, content=b"second")
        assert (first.status_code, second.status_code) == (200, 200)
        assert first.json()["Id"] == second.json()["Id"]
        assert (await http.get(ONE)).content == b"second"
        assert told(await http.post(ONE, content=TEXT)) == (400, "409", "KeyAlreadyExists")


@pytest.mark.parametrize(("variant", "body"), [("", b"<html>"), ("/empty", b""), ("/null", b"null")])
async def test_f20_a_body_is_no_json_whatever_it_says(
    project: SupabaseSimulator, variant: str, body: bytes
) -> None:
    await stored(project)
    project.faults.add(f"F20{variant}:n=1")
    async with client(project) as http:
        got = await http.get(INFO)
        assert (got.status_code, got.headers["content-type"]) == (200, "application/json")
        assert got.content[:6] == body


async def test_f21_etag_or_size_are_not_the_objects(project: SupabaseSimulator) -> None:
    await stored(project)
    async with client(project) as http:
        true = (await http.get(INFO)).json()
        project.faults.add("F21:n=1,F21/size:n=2")
        wrong = (await http.get(INFO)).json()
        assert (wrong["etag"] != true["etag"], wrong["size"]) == (True, true["size"])
        assert (await http.get(INFO)).json()["size"] != true["size"]
        project.faults.heal()
        project.faults.add("F21/size:op=object.read:n=1")
        assert len((await http.get(ONE)).content) != true["size"]


async def test_f22_a_page_repeats_a_row_or_skips_one_or_has_a_bad_cursor(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        for number in range(4):
            await http.post(f"{STORAGE}/object/waybill/{number}", content=b"x")
        project.faults.add("F22:n=1,F22/skips:n=2,F22/cursor:n=3")

        async def page() -> tuple[list[str], str]:
            body = (await http.post(LIST, json={"limit": 2})).json()
            return [row["name"] for row in body["objects"]], body["nextCursor"]

        assert (await page())[0] == ["0", "1", "1"]
        assert (await page())[0] == ["0"]
        names, cursor = await page()
        assert names == ["0", "1"]
        assert told(await http.post(LIST, json={"cursor": cursor})) == (400, "400", "InvalidParameter")


async def test_f23_a_batch_is_deleted_in_part(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        for name in ("a", "b", "c", "d"):
            await http.post(f"{STORAGE}/object/waybill/{name}", content=b"x")
        project.faults.add("F23:n=1")
        gone = await http.request("DELETE", REMOVE, json={"prefixes": ["a", "b", "c", "d"]})
        assert (gone.status_code, [row["name"] for row in gone.json()]) == (200, ["a", "b"])
        left = (await http.post(LIST, json={})).json()["objects"]
        assert [row["name"] for row in left] == ["c", "d"]


async def test_f24_a_redirect_leads_to_another_host_which_must_see_no_key(
    project: SupabaseSimulator,
) -> None:
    project.faults.add("F24:times=2")
    async with client(project) as http:
        away = await http.get(ONE)
        assert (away.status_code, away.headers["location"].startswith(project.foreign_url)) == (307, True)
        assert not any(entry.violation for entry in project.journal)
        # What the official client does: it follows, and leaves out one of the two headers only.
        await http.get(ONE, follow_redirects=True)
    assert "a key was sent" in project.journal[-1].violation
    assert "sb_secret" not in repr(project.journal)


async def test_f25_the_clock_that_looks_at_links_is_ahead(project: SupabaseSimulator) -> None:
    await stored(project)
    async with client(project) as http:
        link = STORAGE + (await http.post(SIGN, json=SIGN_BODY)).json()["signedURL"]
        project.faults.add("F25/61:n=1,F25/30:n=2")
        assert told(await http.get(link)) == (400, "400", "InvalidJWT")
        assert (await http.get(link)).content == TEXT


async def test_f26_a_download_trickles(project: SupabaseSimulator) -> None:
    await stored(project)
    project.faults.add("F26:n=1")
    async with client(project) as http, http.stream("GET", ONE) as reply:
        async for piece in reply.aiter_raw():
            assert len(piece) < len(TEXT)
            break


async def test_f27_health_is_200_and_says_no(project: SupabaseSimulator) -> None:
    project.faults.add("F27")
    async with client(project) as http:
        ill = await http.get(f"{STORAGE}/health")
        assert (ill.status_code, ill.json()) == (200, {"healthy": False})
        assert (await http.get(f"{STORAGE}/status")).content == b""
        project.faults.heal()
        assert (await http.get(f"{STORAGE}/health")).json() == {"healthy": True}


async def test_f28_an_upload_is_said_to_go_on_at_another_host(project: SupabaseSimulator) -> None:
    project.faults.add("F28:n=1")
    async with client(project) as http:
        headers = {**TUS, "upload-length": "3"}
        pairs = "bucketName d2F5YmlsbA==,objectName b25l"
        made = await http.post(RESUMABLE, headers={**headers, "upload-metadata": pairs})
        location = made.headers["location"]
        assert urlsplit(location).netloc == urlsplit(project.foreign_url).netloc
        await http.patch(location, content=b"abc", headers={**PART, "upload-offset": "0"})
        assert "a key was sent" in project.journal[-1].violation
        assert (await part(http, location.rpartition("/")[2], 0, b"abc")).status_code == 204


async def stored(project: SupabaseSimulator) -> None:
    async with client(project) as http:
        assert (await http.post(ONE, content=TEXT)).status_code == 200
