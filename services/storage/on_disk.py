"""Objects on this machine's disk, and the door behind the links to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from services.storage import link_server
from services.storage.backends.local import LocalObjects
from services.storage.backends.local_links import LocalLinks, kept_keys
from services.storage.config import LinksConfig
from services.storage.objects import Objects
from waybill.objects_settings import OBJECTS_HTTP
from waybill.runtime.clock import Now
from waybill.runtime.http_listener import Bounds, opened, serving

LINK_KEYS = "link-keys"
# A peer may be a proxy that speaks for all. Who takes or sends less than 2 kB/s is not waited for.
BOUNDS = Bounds(connections=64, of_a_peer=64, seconds=30.0, step_bytes=64 * 1024)
Probes = Mapping[str, Callable[[], Awaitable[bool]]]


@asynccontextmanager
async def objects_on_disk(
    folder: Path, config: LinksConfig | None, clock: Now
) -> AsyncIterator[tuple[LocalObjects, Probes]]:
    """The store and, by health name, what says whether its parts work; links are served meanwhile.

    Args:
        folder: No other process writes to it.
        config: Where links are served; None: nowhere.
        clock: The time of day, with a zone.
    """
    if config is None:
        store = LocalObjects(folder, clock)
        yield store, {"storage/local": store.healthy}
        return
    door = opened(config.bind, OBJECTS_HTTP)
    base_url = config.public_url or f"http://{config.bind.rpartition(':')[0]}:{door.getsockname()[1]}"
    keys = config.keys or await asyncio.to_thread(kept_keys, folder / LINK_KEYS)
    links = LocalLinks(keys, base_url, clock)
    store = LocalObjects(folder, clock, links)
    async with serving(link_server.app(Objects(store), links, base_url), door, BOUNDS) as listens:
        # The stack's status knows the second by its name.
        yield store, {"storage/local": store.healthy, "storage/links": listens}
