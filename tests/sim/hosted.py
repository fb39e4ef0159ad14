"""What tests of the Supabase simulator ask it for, without an SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from waybill.sim.supabase.simulator import SupabaseSimulator

SECRET, PUBLISHABLE = "sb_secret_test", "sb_publishable_test"
STORAGE = "/storage/v1"
ONE = f"{STORAGE}/object/waybill/t1/one.txt"
INFO = f"{STORAGE}/object/info/waybill/t1/one.txt"


@asynccontextmanager
async def client(
    sim: SupabaseSimulator, key: str = SECRET, bearer: str | None = None, seconds: float = 20.0
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the headers that the official one sends; none without a key.

    Args:
        bearer: Where it is another than the key.
        seconds: For each phase of a request.
    """
    headers = {"apikey": key, "authorization": f"Bearer {bearer or key}"} if key or bearer else {}
    if not key:
        headers.pop("apikey", None)
    async with httpx.AsyncClient(base_url=sim.base_url, headers=headers, timeout=seconds) as http:
        yield http


def told(response: httpx.Response) -> tuple[int, str, str]:
    """HTTP status, and the body's own status and code."""
    body: dict[str, Any] = response.json()
    assert isinstance(body["statusCode"], str)
    return response.status_code, body["statusCode"], body["code"]
