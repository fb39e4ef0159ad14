"""How a step of a run comes out when its time is up."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from services.orchestrator.runs.outcomes import EXPIRED, in_time
from waybill.runtime.errors import Unavailable
from waybill.runtime.retry import insist


async def test_a_step_whose_time_is_up_says_what_it_waited_for() -> None:
    async def away() -> NoReturn:
        raise Unavailable("VENDOR_TIMEOUT", "OpenAI did not answer within 1.0 s.")

    outcome = await in_time(lambda: insist(away, seconds=3600), 0.05)
    assert outcome["failed"]["reason"] == "EXPIRED"
    assert outcome["failed"]["message"].endswith("It waited in vain: OpenAI did not answer within 1.0 s.")


async def test_what_passed_before_is_not_said() -> None:
    tries = iter([Unavailable("RESTARTING", "Storage restarts."), None])

    async def restarting() -> None:
        if error := next(tries):
            raise error

    async def slow() -> None:
        await insist(restarting, seconds=60)
        await asyncio.Event().wait()

    outcome = await in_time(slow, 3)
    assert outcome["failed"] == EXPIRED
