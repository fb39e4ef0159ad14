"""LlamaCloud's client, sync or async, asked in one way."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from llama_cloud import AsyncLlamaCloud, LlamaCloud

from tests.sim import cloud
from tests.sim.cloud import KEY
from tests.waiting import PATIENCE_SECONDS

TWO_PAGES = ("two.txt", cloud.TWO_PAGES, "text/plain")
Ask = Callable[[Any], Any]


class Caller:
    """One client, sync or async, asked in one way."""

    def __init__(self, kind: str, url: str, **more: Any) -> None:
        usual = {"api_key": KEY, "base_url": url, "max_retries": 0, "timeout": PATIENCE_SECONDS}
        options: dict[str, Any] = usual | more
        self.client: Any = LlamaCloud(**options) if kind == "sync" else AsyncLlamaCloud(**options)
        self.is_sync = kind == "sync"

    async def __call__(self, ask: Ask) -> Any:
        """What `ask` gets from the client; a page is the list of all items behind it."""
        if self.is_sync:
            return await asyncio.to_thread(lambda: _listed(ask(self.client)))
        answer = ask(self.client)
        if hasattr(answer, "__aiter__"):
            return [item async for item in answer]
        return await answer if inspect.isawaitable(answer) else answer

    async def close(self) -> None:
        await self(lambda client: client.close())

    async def begin(self, tier: str = "agentic", **more: Any) -> Any:
        """A job of two pages."""
        file = await self(lambda client: client.files.create(file=TWO_PAGES, purpose="parse"))
        create = {"file_id": file.id, "tier": tier, "version": "latest", **more}
        return await self(lambda client: client.parsing.create(**create))

    async def get(self, job_id: str, *expand: str) -> Any:
        return await self(lambda client: client.parsing.get(job_id, expand=list(expand)))


def _listed(answer: Any) -> Any:
    return list(answer) if hasattr(answer, "get_next_page") else answer
