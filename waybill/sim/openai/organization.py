"""What an organization used and what it cost, a bucket a day (OpenAI's API reference, "Usage" and "Costs").

How a line of costs names a batch is not documented; here it is the item as it is priced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from waybill.sim.clock import Clock
from waybill.sim.invoice import Invoice, Line
from waybill.sim.openai.errors import Refused
from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route

DAY_SECONDS = 86_400
Results = Callable[[Sequence[Line], Sequence[str]], list[dict[str, Any]]]


class Organization:
    """Its endpoints; they read the invoice.

    Args:
        clock: The vendor's.
        invoice: Every charge by now.
    """

    def __init__(self, clock: Clock, invoice: Callable[[], Invoice]) -> None:
        self._clock = clock
        self._invoice = invoice

    def routes(self) -> list[Route]:
        """Which request asks for which operation."""
        return [
            Route("GET", "/v1/organization/usage/embeddings", "usage.embeddings", self.usage),
            Route("GET", "/v1/organization/costs", "costs", self.costs),
        ]

    async def usage(self, call: Call) -> Done:
        """Tokens and requests, those of batches too; by model where that is asked for."""
        return self._page(call, _usage, most=31, default=7)

    async def costs(self, call: Call) -> Done:
        """Money; by line item where that is asked for."""
        return self._page(call, _costs, most=180, default=7)

    def _page(self, call: Call, results: Results, most: int, default: int) -> Done:
        query = call.request.query
        first = _number(query, "start_time", None) // DAY_SECONDS
        end = -(-_number(query, "end_time", int(self._clock.now())) // DAY_SECONDS)
        limit = _number(query, "limit", default)
        if not 1 <= limit <= most:
            raise Refused(400, f"Invalid 'limit': {limit}. Expected 1 to {most}.", param="limit")
        start = max(first, _number(query, "page", first))
        days = range(start, min(end, start + limit))
        by_day = defaultdict(list)
        for line in self._invoice().lines:
            by_day[int(line.time) // DAY_SECONDS].append(line)
        grouped = [value for name, value in call.request.pairs if name in ("group_by", "group_by[]")]
        data = [
            {
                "object": "bucket",
                "start_time": day * DAY_SECONDS,
                "end_time": (day + 1) * DAY_SECONDS,
                "results": results(by_day[day], grouped),
            }
            for day in days
        ]
        more = start + limit < end
        following = str(start + limit) if more else None
        return Done(json_reply({"object": "page", "data": data, "has_more": more, "next_page": following}))


def _usage(lines: Sequence[Line], grouped: Sequence[str]) -> list[dict[str, Any]]:
    found: dict[str | None, list[Line]] = defaultdict(list)
    for line in lines:
        found[line.item.removesuffix(" batch") if "model" in grouped else None].append(line)
    return [
        {
            "object": "organization.usage.embeddings.result",
            "input_tokens": sum(line.quantity for line in some),
            "num_model_requests": sum(line.requests for line in some),
            "project_id": None, "user_id": None, "api_key_id": None, "model": model,
        }
        for model, some in found.items()
    ]  # fmt: skip


def _costs(lines: Sequence[Line], grouped: Sequence[str]) -> list[dict[str, Any]]:
    found: dict[str | None, int] = defaultdict(int)
    for line in lines:
        found[f"{line.item}, input" if "line_item" in grouped else None] += line.nano_usd
    return [
        {
            "object": "organization.costs.result",
            "amount": {"value": nano_usd / 1_000_000_000, "currency": "usd"},
            "line_item": item, "project_id": None,
        }
        for item, nano_usd in found.items()
    ]  # fmt: skip


def _number(query: Mapping[str, str], name: str, default: int | None) -> int:
    text = query.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isdecimal():
        raise Refused(400, f"Invalid or missing '{name}': expected a whole number.", param=name)
    return int(text)
