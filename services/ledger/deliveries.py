"""Delivers alerts: each is a row that waits until the webhook's receiver has it, whatever dies meanwhile.

A ledger claims what is due by putting its next attempt off, commits, and sends. One that dies in between
costs that pause. So a message may come twice, under the same id; without a death it comes once.
"""

from __future__ import annotations

import asyncio
import datetime
import random

import structlog

from services.ledger.rows import Row
from services.ledger.webhook import NotDelivered, Webhook, message, message_id
from waybill.runtime import faults
from waybill.runtime.postgres import Database

AT_ONCE = 10
LOOK_SECONDS = 5.0
# Above what an attempt may take: nobody sends what another one is sending.
CLAIM = datetime.timedelta(seconds=60)
FIRST_PAUSE, LONGEST_PAUSE = datetime.timedelta(seconds=5), datetime.timedelta(hours=1)
GIVEN_UP_AFTER = datetime.timedelta(days=1)

CLAIM_DUE = f"""
with due as (
    select window_id, threshold from waybill_ledger.budget_alerts
    where next_at <= clock_timestamp() order by next_at limit {AT_ONCE} for update skip locked
)
update waybill_ledger.budget_alerts a
set attempts = a.attempts + 1, next_at = clock_timestamp() + %(claim)s
from due join waybill_ledger.budget_windows w using (window_id)
    join waybill_ledger.budgets b using (budget_id)
where a.window_id = due.window_id and a.threshold = due.threshold
returning a.*, b.collection, b.service, b.kind, b.unit, b.period, w.run_id as window_run_id, w.started_at,
    ((w.started_at at time zone 'UTC') + ('1 ' || nullif(b.period, 'RUN'))::interval) at time zone 'UTC'
        as resets_at
"""  # noqa: S608  (constants only)
# What was not delivered in time, and what was raised while nobody was to be told.
GIVE_UP = """
update waybill_ledger.budget_alerts
set next_at = null, given_up_at = clock_timestamp(),
    last_error = coalesce(nullif(last_error, ''), 'no receiver was set')
where next_at is not null and alerted_at < clock_timestamp() - %(after)s
returning *
"""
# Changes a row only for the attempt that was claimed: another process may have made a later one meanwhile.
END = """
update waybill_ledger.budget_alerts
set next_at = case when %(pause)s::interval is null then null else clock_timestamp() + %(pause)s end,
    delivered_at = case when %(delivered)s then clock_timestamp() end,
    given_up_at = case when %(given_up)s then clock_timestamp() end,
    last_error = %(error)s
where window_id = %(window_id)s and threshold = %(threshold)s and delivered_at is null
    and attempts = %(attempts)s
"""
log = structlog.get_logger()


class Deliveries:
    """What has to be delivered, of all tenants.

    Args:
        owner: Sees every tenant.
        webhook: The receiver.

    Attributes:
        given_up: So many alerts were not delivered since this process was started.
    """

    def __init__(self, owner: Database, webhook: Webhook) -> None:
        self._owner = owner
        self._webhook = webhook
        self.given_up = 0

    async def turn(self) -> None:
        """Sends what is due."""
        for alert in await self._changed(GIVE_UP, {"after": GIVEN_UP_AFTER}):
            if alert["attempts"]:  # and not raised while there was no receiver
                self._give_up(alert, alert["last_error"])
        while due := await self._changed(CLAIM_DUE, {"claim": CLAIM}):
            await asyncio.gather(*map(self._deliver, due))

    async def _deliver(self, alert: Row) -> None:
        await faults.point("alert.before")
        try:
            await self._webhook.send(message_id(alert), message(alert))
        except NotDelivered as error:
            if error.final:
                self._give_up(alert, str(error))
                await self._end(alert, str(error), given_up=True)
            else:
                await self._put_off(alert, str(error))
        else:
            await faults.point("alert.after")
            await self._end(alert, "", delivered=True)

    async def _put_off(self, alert: Row, why: str) -> None:
        pause = pause_after(alert["attempts"], random.random())  # noqa: S311 - no secret
        log.warning(
            "an alert was not delivered",
            alert=message_id(alert),
            attempts=alert["attempts"],
            again_in_seconds=round(pause.total_seconds()),
            error=why,
        )
        await self._end(alert, why, pause=pause)

    def _give_up(self, alert: Row, why: str) -> None:
        self.given_up += 1
        log.error("an alert will not be delivered", alert=message_id(alert), error=why)

    async def _end(
        self,
        alert: Row,
        error: str,
        *,
        pause: datetime.timedelta | None = None,
        delivered: bool = False,
        given_up: bool = False,
    ) -> None:
        same = {name: alert[name] for name in ("window_id", "threshold", "attempts")}
        values = {"error": error, "pause": pause, "delivered": delivered, "given_up": given_up, **same}
        await self._owner.execute(None, END, values)

    async def _changed(self, statement: str, values: Row) -> list[Row]:
        return await self._owner.rows(None, statement.encode(), values)


def pause_after(attempts: int, chance: float) -> datetime.timedelta:
    """How long to wait after so many attempts; `chance`, 0 to 1, keeps senders apart."""
    doublings = min(attempts - 1, 20)
    return min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE) * (1 + chance / 4)
