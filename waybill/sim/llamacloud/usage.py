"""The usage metrics of an organization: what each job cost, as it is told."""

from __future__ import annotations

from typing import Any

from waybill.sim.llamacloud import listing
from waybill.sim.llamacloud.errors import missing
from waybill.sim.llamacloud.jobs import Job, Jobs
from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route


class Usage:
    """GET /api/v1/beta/usage-metrics, whose form third-party clients show; the SDK has no call for it."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def routes(self) -> list[Route]:
        """Which request asks for it."""
        return [Route("GET", "/api/v1/beta/usage-metrics", "usage.list", self.list)]

    async def list(self, call: Call) -> Done:
        """By day, project and job, the newest first."""
        query = call.request.query
        if not query.get("organization_id"):
            raise missing("query.organization_id")
        first, last = query.get("day_on_or_after", ""), query.get("day_on_or_before", "9999")
        items = [
            item
            for item in map(_item, self._jobs.billed(call.account.organization))
            if first <= item["day"] <= last
            and query.get("project_id") in (None, item["project_id"])
            and query.get("event_aggregation_key") in (None, item["event_aggregation_key"])
        ]
        shown, token = listing.page(items, query, most=100, default=50)
        return Done(json_reply({"items": shown, "next_page_token": token, "total_size": len(items)}))


def _item(job: Job) -> dict[str, Any]:
    return {
        "organization_id": job.organization,
        "project_id": job.project,
        "event_type": "pages_parsed",
        "event_aggregation_type": "parse_job",
        "event_aggregation_key": job.id,
        "day": listing.stamp(job.updated)[:10],
        "value": len(job.pages) - job.failed_pages,
        "credits": job.credits,
        "properties": {"tier": job.configuration.tier, "cached": job.cached},
    }
