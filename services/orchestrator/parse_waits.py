"""A parse at a vendor that a run waits for: the parser asks the vendor, and this asks the parser."""

from __future__ import annotations

import datetime
from functools import partial

from services.orchestrator.degrading import goes_on_locally
from services.orchestrator.modes import Modes
from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.waits import Wait, seldom
from services.orchestrator.steps.parsing import UNFINISHED
from waybill.parser.v1.parser_service_pb2 import CancelParseJobRequest, GetParseJobRequest
from waybill.runtime.clock import Now
from waybill.runtime.errors import NotFound
from waybill.runtime.retry import insist
from waybill.runtime.wire import moment
from waybill.vendors.choosing import PARSER

SOONEST_SECONDS, LATEST_SECONDS = 1.0, 15.0
ASK_SECONDS, CANCEL_SECONDS = 5.0, 30.0


class ParseWaits:
    """Parse jobs, as the poller looks at them.

    Args:
        modes: Which one stands for the parser.
        now: The time, in UTC.
    """

    def __init__(self, peers: Peers, modes: Modes, now: Now) -> None:
        self._peers = peers
        self._modes = modes
        self._now = now

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """When to look again; None once the job is final, or gone."""
        asked = GetParseJobRequest(job_id=wait.ref, mode=await self._modes.of(PARSER))
        read = partial(self._peers.parser.GetParseJob, asked)
        try:
            job = (await insist(partial(read, timeout=ASK_SECONDS), seconds=ASK_SECONDS)).job
        except NotFound:
            return None
        if job.state not in UNFINISHED:
            return None
        if goes_on_locally(job):
            # Its vendor does not serve, and the mode lets the run go on without.
            return None
        now = self._now()
        soon = seldom(wait.created_at, now, SOONEST_SECONDS, LATEST_SECONDS)
        latest = now + datetime.timedelta(seconds=LATEST_SECONDS)
        return min(max(soon, moment(job.look_at)), latest) if job.HasField("look_at") else soon

    async def end(self, wait: Wait, row: Row) -> None:
        """Stops the parse of a run that ended without it."""
        if row["state"] in ("CANCELLED", "EXPIRED"):
            cancel = partial(self._peers.parser.CancelParseJob, CancelParseJobRequest(run_id=wait.run.run_id))
            await insist(partial(cancel, timeout=CANCEL_SECONDS), seconds=CANCEL_SECONDS)
