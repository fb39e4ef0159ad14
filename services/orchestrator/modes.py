"""The live switch of the parser's and the embedder's mode, as whatever works for runs takes it.

A step, a search and a plan take the modes that stand when they begin, and keep them to their end:

    async with modes.standing():
        mode = await modes.of(PARSER)
"""

from __future__ import annotations

import asyncio
import datetime
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from opentelemetry import context as otel_context

from services.orchestrator.peers import Peers
from services.orchestrator.runs.outcomes import Noted
from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.stepping import Body
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.backend_service_pb2 import GetBackendRequest
from waybill.runtime.errors import Deadline, Unavailable, from_status
from waybill.runtime.postgres import Connection, Database
from waybill.runtime.telemetry import unrecorded

# An orchestrator works by a switch so much later at the latest.
STALE_SECONDS = 1.0
ASK_SECONDS = 1.0
READ = "select * from waybill_runs.modes"
SET = """
insert into waybill_runs.modes as kept (service, mode, settings, set_by, subject, credential_id)
values (%(service)s, %(mode)s, %(settings)s, %(set_by)s, %(subject)s, %(credential_id)s)
on conflict (service) do update set mode = excluded.mode, settings = excluded.settings,
    set_at = excluded.set_at, set_by = excluded.set_by, subject = excluded.subject,
    credential_id = excluded.credential_id
where (kept.mode, kept.settings) <> (excluded.mode, excluded.settings)
"""
TAKE_BACK = "delete from waybill_runs.modes where service = any(%s)"
T = TypeVar("T")
_standing: ContextVar[Mapping[str, Mode] | None] = ContextVar("waybill_standing_modes", default=None)


@dataclass(frozen=True)
class Switch:
    """A live switch.

    Attributes:
        mode: That the service is switched to.
        settings: What the service said of its own then; see GetBackendResponse.
        set_at: When.
        set_by: The tenant that called.
        subject, credential_id: See identity.Caller.
    """

    mode: Mode
    settings: str
    set_at: datetime.datetime
    set_by: str
    subject: str
    credential_id: str


class Modes:
    """Which modes stand.

    Args:
        database: Reads the switches.
        owner: Writes them.
        peers: Say how they are set.
        clock: Monotonic seconds.
    """

    def __init__(
        self, database: Database, owner: Database, peers: Peers, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._owner = owner
        self._peers = peers
        self._clock = clock
        self._reading = asyncio.Lock()
        self._known: Mapping[str, Mode] = {}
        self._stale_at = -math.inf
        # What each service last said.
        self._settings: dict[str, str] = {}

    async def of(self, service: str) -> Mode:
        """The mode that calls to a service name; unspecified where it is as the service is set."""
        standing = _standing.get()
        if standing is None:
            return await self.latest(service)
        return standing.get(service, Mode.MODE_UNSPECIFIED)

    async def latest(self, service: str) -> Mode:
        """The same of this moment, also where another one stands: for what only waits."""
        return (await self._now()).get(service, Mode.MODE_UNSPECIFIED)

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        """Inside, the modes are those of now, also once they are switched."""
        token = _standing.set(await self._now())
        try:
            yield
        finally:
            _standing.reset(token)

    def held(self, body: Body[T]) -> Body[T]:
        """A step's body that takes the modes which stand when it begins."""

        async def begun(row: Row) -> T | Noted[T]:
            async with self.standing():
                return await body(row)

        return begun

    async def switches(self) -> Mapping[str, Switch]:
        """The switches that hold, by service."""
        rows = await self._database.rows(None, READ)
        found = {row.pop("service"): Switch(**{**row, "mode": Mode.Value(row["mode"])}) for row in rows}
        return {name: one for name, one in found.items() if await self._holds(name, one)}

    async def switch(self, settings: Mapping[str, str], mode: Mode, who: Mapping[str, Any]) -> None:
        """Switches services; a repeat keeps the row as it is.

        Args:
            settings: What each service says of its own.
            mode: Unspecified takes their switches back.
            who: set_by, subject and credential_id.
        """
        async with self._owner.transaction(None) as connection:
            await _write(connection, settings, mode, who)
        async with self._reading:  # what was read before the switch is known by now, and is forgotten
            self._settings.update(settings)
            self._stale_at = -math.inf

    async def _now(self) -> Mapping[str, Mode]:
        async with self._reading:
            now = self._clock()
            if now >= self._stale_at:
                self._known = {name: one.mode for name, one in (await self.switches()).items()}
                self._stale_at = now + STALE_SECONDS
            return self._known

    async def _holds(self, service: str, switch: Switch) -> bool:
        """Whether the service is still set as it was then. One that is away is as it was."""
        backend = self._peers.backends[service]
        # Nobody wants to see in a run's trace how often this is asked.
        token = otel_context.attach(unrecorded())
        try:
            told = await backend.GetBackend(GetBackendRequest(), timeout=ASK_SECONDS)
            self._settings[service] = told.settings
        except grpc.aio.AioRpcError as error:
            if not isinstance(failure := from_status(error), Unavailable | Deadline):
                raise failure from error
        finally:
            otel_context.detach(token)
        return self._settings.get(service, switch.settings) == switch.settings


async def _write(
    connection: Connection, settings: Mapping[str, str], mode: Mode, who: Mapping[str, Any]
) -> None:
    if not mode:
        await connection.execute(TAKE_BACK, [list(settings)])
        return
    for service, told in settings.items():
        await connection.execute(SET, {"service": service, "mode": Mode.Name(mode), "settings": told, **who})
