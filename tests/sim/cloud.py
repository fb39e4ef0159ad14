"""What tests of the LlamaCloud simulator ask it for, without an SDK."""

from __future__ import annotations

import json
from typing import Any

from tests.sim import raw
from tests.sim.raw import Seen
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator

KEY = "llx-test-0000000000"
FILES, PARSE = "/api/v1/beta/files", "/api/v2/parse"
BOUNDARY = "waybill-boundary"
TWO_PAGES = b"first page\fsecond page"


async def ask(
    sim: LlamaCloudSimulator, method: str, path: str, body: object = None, key: str = KEY, **headers: str
) -> Seen:
    """One request with a JSON body, on a connection of its own."""
    return await raw.ask(sim.base_url, method, path, body, authorization=f"Bearer {key}", **headers)


async def send_form(
    sim: LlamaCloudSimulator,
    path: str,
    fields: dict[str, str],
    content: bytes = TWO_PAGES,
    name: str = "two.txt",
    key: str = KEY,
) -> Seen:
    """One form: its fields, then its file."""
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'
        for k, v in fields.items()
    ]
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = "".join([*parts, head]).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    async with raw.connected(sim.base_url) as line:
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        await line.send("POST", path, body, authorization=f"Bearer {key}", content_type=kind)
        return await line.receive()


async def upload(sim: LlamaCloudSimulator, content: bytes = TWO_PAGES, name: str = "two.txt") -> str:
    """Uploads a file; its id."""
    seen = await send_form(sim, FILES, {"purpose": "parse"}, content, name)
    assert seen.status == 200, seen.body
    return str(seen.json["id"])


async def create(sim: LlamaCloudSimulator, file_id: str = "", tier: str = "agentic", **more: Any) -> Seen:
    """Asks for a job, of a new file where none is named."""
    body = {"file_id": file_id or await upload(sim), "tier": tier, "version": "latest", **more}
    return await ask(sim, "POST", PARSE, body)


async def begin(sim: LlamaCloudSimulator, file_id: str = "", tier: str = "agentic", **more: Any) -> str:
    """Begins a job; its id."""
    seen = await create(sim, file_id, tier, **more)
    assert seen.status == 200, seen.body
    return str(seen.json["id"])


async def look(sim: LlamaCloudSimulator, job_id: str, *expand: str) -> Seen:
    """Reads a job."""
    query = "&".join(f"expand={name}" for name in expand)
    return await ask(sim, "GET", f"{PARSE}/{job_id}?{query}")


async def status(sim: LlamaCloudSimulator, job_id: str) -> str:
    """A job's status."""
    return str((await look(sim, job_id)).json["job"]["status"])


async def done(sim: LlamaCloudSimulator, file_id: str = "", tier: str = "agentic", **more: Any) -> str:
    """A job whose time is over; its id."""
    job_id = await begin(sim, file_id, tier, **more)
    sim.clock.advance(100)
    return job_id


def details(seen: Seen) -> list[list[str]]:
    """Where a 422 finds fault."""
    return [one["loc"] for one in json.loads(seen.body)["detail"]]
