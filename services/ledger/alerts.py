"""Says that a budget's window has reached a threshold: the row is written, and here is who wrote it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog

log = structlog.get_logger()


class Alerts:
    """Tells of alerts once they are committed.

    Attributes:
        count: So many since this process was started.
        told: Set at each.
    """

    def __init__(self) -> None:
        self.count = 0
        self.told = asyncio.Event()

    def tell(self, alerts: Iterable[dict[str, Any]]) -> None:
        """One log line for each row of budget_alerts."""
        for alert in alerts:
            self.count += 1
            self.told.set()
            log.warning(
                "a budget has reached a threshold",
                budget_id=str(alert["budget_id"]),
                tenant=alert["tenant"],
                threshold_percent=alert["threshold"],
                limit=alert["limit_amount"],
                used=alert["used"],
                held=alert["held"],
                in_doubt=alert["in_doubt"],
            )
