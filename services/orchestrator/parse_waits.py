"""A parse at a vendor that a run waits for: the parser asks the vendor, and this asks the parser."""

from __future__ import annotations

import datetime
from functools import partial

from services.orchestrator.degrading import goes_on_locally
from services.orchestrator.modes import Modes
from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.waits import Wait
from services.orchestrator.steps.parsing import UNFINISHED
from services.orchestrator.vendor_waits import Vendors
from waybill.parser.v1.parser_service_pb2 import CancelParseJobRequest, GetParseJobRequest
from waybill.runtime.clock import Now
from waybill.runtime.errors import NotFound
from waybill.runtime.retry import insist
from waybill.runtime.wire import moment
from waybill.vendors.choosing import PARSER

# Between two looks, at least and at most.
LOOK_SECONDS = 1.0, 15.0
ASK_SECONDS, CANCEL_SECONDS = 5.0, 30.0


class ParseWaits:
    """Parse jobs, as the poller looks at them.

    Args:
        modes: Which one stands for the parser.
        vendors: Asked after where the job waits for one.
        now: The time, in UTC.
    """

    def __init__(self, peers: Peers, modes: Modes, vendors: Vendors, now: Now) -> None:
        self._peers = peers
        self._modes = modes
        self._vendors = vendors
        self._now = now

    async def look(self, wait: Wait, row: Row) -> datetime.datetime | None:
        """When to look again; None once the job is final, or gone, or the run is to say something else."""
        asked = GetParseJobRequest(job_id=wait.ref, mode=await self._modes.of(PARSER))
        read = partial(self._peers.parser.GetParseJob, asked)
        try:
            job = (await insist(partial(read, timeout=ASK_SECONDS), seconds=ASK_SECONDS)).job
        except NotFound:
            return None
        if job.state not in UNFINISHED or job.reason != row["reason"]:
            return None
        if goes_on_locally(job):
            # Its vendor does not serve, and the mode lets the run go on without.
            return None
        soonest, latest = (self._now() + datetime.timedelta(seconds=one) for one in LOOK_SECONDS)
        if job.waits_for and not await self._vendors.serve(job.waits_for, gone=True):
            # Once that is back, this is looked at at once.
            return latest
        # When the parser looks at it itself.
        return min(max(soonest, moment(job.look_at)), latest)

    async def end(self, wait: Wait, row: Row) -> None:
        """Stops the parse of a run that ended without it."""
        if row["state"] in ("CANCELLED", "EXPIRED"):
            cancel = partial(self._peers.parser.CancelParseJob, CancelParseJobRequest(run_id=wait.run.run_id))
            await insist(partial(cancel, timeout=CANCEL_SECONDS), seconds=CANCEL_SECONDS)
