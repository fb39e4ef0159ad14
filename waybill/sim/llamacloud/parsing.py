"""The parse API: create, read, list, cancel, delete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from waybill.sim.clock import Clock
from waybill.sim.llamacloud import catalogue, configuration, files, listing, results, versions
from waybill.sim.llamacloud.configuration import Configuration
from waybill.sim.llamacloud.documents import Document
from waybill.sim.llamacloud.errors import Refused, invalid, missing
from waybill.sim.llamacloud.files import Files
from waybill.sim.llamacloud.jobs import Job, Jobs
from waybill.sim.llamacloud.results import Results
from waybill.sim.llamacloud.settings import LlamaCloudSettings
from waybill.sim.outbox import Outbox
from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route

STATUSES = ("PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")


class Parsing:
    """The operations; each method may raise Refused."""

    def __init__(
        self,
        settings: LlamaCloudSettings,
        clock: Clock,
        files: Files,
        jobs: Jobs,
        results: Results,
        outbox: Outbox,
        folder: Path,
    ) -> None:
        self._settings, self._clock, self._files, self._jobs = settings, clock, files, jobs
        self._results, self._outbox, self._folder = results, outbox, folder

    def routes(self) -> list[Route]:
        """Which request asks for which operation."""
        path = "/api/v2/parse"
        return [
            Route("POST", path, "parse.create", self.create),
            Route("POST", f"{path}/upload", "parse.create.upload", self.upload, streamed=True),
            Route("GET", path, "parse.list", self.list),
            Route("GET", f"{path}/versions", "parse.versions", self.versions),
            Route("GET", f"{path}/{{id}}", "parse.get", self.get),
            Route("POST", f"{path}/{{id}}/cancel", "parse.cancel", self.cancel),
            Route("DELETE", f"{path}/{{id}}", "parse.delete", self.delete),
        ]

    async def create(self, call: Call) -> Done:
        """POST /api/v2/parse: the job's fields at the top."""
        body = call.request.json
        asked = configuration.read(body, self._settings.assumptions.private_webhooks)
        if body.get("webhook_configuration_ids"):
            raise Refused(404, "Webhook configuration not found")
        if asked.source_url:
            raise Refused(400, "This simulator fetches no URL: upload the file.")
        return await self._begin(call, self._files.source(call.owner, asked.file_id), asked)

    async def upload(self, call: Call) -> Done:
        """POST /api/v2/parse/upload: the file and its configuration in one form."""
        form = await files.receive(call.request, self._folder)
        if "configuration" not in form:
            raise missing("body.configuration")
        try:
            body = json.loads(form["configuration"].content)
        except ValueError as error:
            raise invalid("body.configuration", "Invalid JSON", form["configuration"].text) from error
        asked = configuration.read(body, self._settings.assumptions.private_webhooks, uploaded=True)
        return await self._begin(call, files.document(form["file"]), asked)

    async def _begin(self, call: Call, document: Document, asked: Configuration) -> Done:
        plan = call.account.traits.get("plan", self._settings.plan)
        who = {"organization": call.account.organization, "project": call.owner, "plan": plan}
        job = self._jobs.create(who, document, asked, catalogue.of_job(call.fault))
        if job.broken_as("F39"):
            await self._outbox.sent()
        # A job that ends with its creation tells it at the first look, not here.
        body = job.body("PENDING", self._clock.now(), with_usage=False)
        return Done(json_reply(catalogue.corrupt(call.fault, body)))

    async def get(self, call: Call) -> Done:
        """GET /api/v2/parse/{id}: the job's fields under `job`."""
        job, now = self._job(call), self._clock.now()
        names = results.wanted(call.request.pairs, job.configuration.tier)
        status = self._jobs.shown(job)
        huge = call.fault is not None and call.fault.name == "F18"
        fields = self._results.fields(job, status, names, now, huge)
        body = catalogue.corrupt(call.fault, job.body(status, now, "usage" in names))
        return Done(json_reply({"job": body, **fields}))

    async def list(self, call: Call) -> Done:
        """GET /api/v2/parse: newest first."""
        query, now = call.request.query, self._clock.now()
        if query.get("status", STATUSES[0]) not in STATUSES:
            raise invalid("query.status", f"Input should be one of {', '.join(STATUSES)}", query["status"])
        first = listing.seconds(query, "created_at_on_or_after", 0.0)
        last = listing.seconds(query, "created_at_on_or_before", now)
        ids = [value for name, value in call.request.pairs if name == "job_ids"]
        shown = [
            (job, status)
            for job in self._jobs.of(call.owner)
            if first <= job.created <= last
            and (not ids or job.id in ids)
            and (status := self._jobs.shown(job)) == query.get("status", status)
        ]
        items, token = listing.page(shown, query, most=100, default=50)
        bodies = [catalogue.corrupt(call.fault, job.body(status, now, False)) for job, status in items]
        return Done(json_reply({"items": bodies, "next_page_token": token, "total_size": len(shown)}))

    async def cancel(self, call: Call) -> Done:
        """POST /api/v2/parse/{id}/cancel."""
        job = self._job(call)
        self._jobs.cancel(job, call.fault)
        return Done(json_reply(job.body(job.status, self._clock.now(), with_usage=False)))

    async def delete(self, call: Call) -> Done:
        """DELETE /api/v2/parse/{id}."""
        job = self._job(call)
        self._jobs.delete(job)
        return Done(json_reply({"id": job.id, "project_id": job.project}))

    async def versions(self, call: Call) -> Done:
        """GET /api/v2/parse/versions."""
        latest: dict[str, Any] = {tier: known[0] for tier, known in versions.VERSIONS.items()}
        return Done(json_reply({**versions.VERSIONS, versions.LATEST: latest}))

    def _job(self, call: Call) -> Job:
        return self._jobs.get(call.owner, call.parts["id"])
