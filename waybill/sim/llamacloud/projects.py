"""Whom a key acts for: its organization and project, and the endpoints that list them."""

from __future__ import annotations

from typing import Any

from waybill.sim.keys import Account
from waybill.sim.llamacloud.errors import Refused
from waybill.sim.llamacloud.listing import stamp
from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.wire import Request

# Of keys that name none.
SHARED = {
    "organization": "5a1e0000-0000-4000-8000-000000000001",
    "project": "5a1e0000-0000-4000-8000-000000000002",
}


def acting(account: Account, request: Request) -> Account:
    """The account with the organization and project that a request acts in.

    Raises:
        Refused: They are not the key's.
    """
    named = {name: request.query[f"{name}_id"] for name in SHARED if f"{name}_id" in request.query}
    return account.acting_in(
        named, SHARED, lambda name: Refused(403, f"The API key does not belong to this {name}.")
    )


class Projects:
    """Their endpoints; they cost nothing, so they serve as a probe.

    Args:
        born: When every project was created, in seconds since the epoch.
    """

    def __init__(self, born: float) -> None:
        self._born = born

    def routes(self) -> list[Route]:
        """Which request asks for which operation."""
        return [
            Route("GET", "/api/v1/projects", "projects.list", self.all),
            Route("GET", "/api/v1/projects/{id}", "projects.get", self.get),
            Route("GET", "/api/v2/projects", "projects.page", self.page),
            Route("GET", "/api/v2/projects/{id}", "projects.get", self.get),
        ]

    async def all(self, call: Call) -> Done:
        """GET /api/v1/projects: a bare list."""
        return Done(json_reply([self._project(call.account)]))

    async def page(self, call: Call) -> Done:
        """GET /api/v2/projects: a page."""
        return Done(json_reply({"items": [self._project(call.account)], "next_page_token": None}))

    async def get(self, call: Call) -> Done:
        """GET /api/v1/projects/{id} and /api/v2/projects/{id}."""
        if call.parts["id"] != call.account.project:
            raise Refused(404, "Project not found")
        return Done(json_reply(self._project(call.account)))

    def _project(self, account: Account) -> dict[str, Any]:
        return {
            "id": account.project,
            "name": "Default",
            "organization_id": account.organization,
            "created_at": stamp(self._born),
            "updated_at": stamp(self._born),
            "is_default": True,
        }
