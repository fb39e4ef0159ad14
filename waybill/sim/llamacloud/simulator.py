"""LlamaCloud over a real socket."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping

from waybill.sim import routing, transport
from waybill.sim.faults import Fault
from waybill.sim.keys import Account, bearer
from waybill.sim.limits import Limits
from waybill.sim.llamacloud import catalogue, projects
from waybill.sim.llamacloud.downloads import Downloads
from waybill.sim.llamacloud.errors import Refused, bad_key, no_such_path
from waybill.sim.llamacloud.files import Files
from waybill.sim.llamacloud.jobs import Jobs
from waybill.sim.llamacloud.parsing import Parsing
from waybill.sim.llamacloud.projects import Projects
from waybill.sim.llamacloud.results import Results
from waybill.sim.llamacloud.settings import (
    PLANS,
    UPLOAD_WINDOW_SECONDS,
    UPLOADS_PER_SECOND,
    LlamaCloudSettings,
)
from waybill.sim.llamacloud.usage import Usage
from waybill.sim.llamacloud.webhooks import Webhooks
from waybill.sim.simulator import Simulator, Vendor
from waybill.sim.wire import Reply, Request

KEY_TRAITS = {"region": ("na", "eu"), "plan": tuple(PLANS), "state": ("active", "disabled")}
UPLOADS = Limits(UPLOADS_PER_SECOND * 60, burst_requests=UPLOADS_PER_SECOND * UPLOAD_WINDOW_SECONDS)
_UPLOAD_PATHS = ("/api/v1/beta/files", "/api/v2/parse", "/api/v2/parse/upload")


class LlamaCloudSimulator(Simulator):
    """One running simulator; `simulator` makes it."""

    def __init__(self, settings: LlamaCloudSettings, port: int, control_port: int) -> None:
        vendor = Vendor(
            "llx-", settings.prices(), catalogue.SCOPES, "parse.create", catalogue.TRANSPORT, KEY_TRAITS
        )
        super().__init__(vendor, settings, port, control_port)
        self._region, self._plan = settings.region, settings.plan
        downloads = Downloads(self.clock, self.ids, lambda: self.download_url)
        self._downloads_host = self.host(downloads.routes())
        webhooks = Webhooks(self.outbox, self.clock, self.ids, settings.assumptions.signatures)
        self._jobs = Jobs(settings, self.clock, self.ids, self._invoice, webhooks.tell)
        self._files = Files(self.ids, self.clock, self.folder, downloads)
        results = Results(
            downloads,
            settings.assumptions.early_results,
            lambda: f"http://localhost:{self.server.port}{transport.FOREIGN}",
        )
        parsing = Parsing(settings, self.clock, self._files, self._jobs, results, self.outbox, self.folder)
        parts = (Projects(self.clock.now()), self._files, parsing, Usage(self._jobs))
        self.routes = [route for part in parts for route in part.routes()]

    @property
    def download_url(self) -> str:
        """The host of presigned downloads."""
        return f"http://127.0.0.1:{self._downloads_host.port}"

    @property
    def jobs_created(self) -> int:
        """How many jobs there ever were, also those whose creator never heard of them."""
        return self._jobs.created

    @property
    def controls(self) -> Mapping[str, Callable[..., object]]:
        """How long jobs take that are created from now on."""
        return {"/jobs": self._jobs.take}

    def authorize(self, request: Request) -> Account:
        """Whose key a request has, and the project that it acts for."""
        if routing.find(self.routes, request) is None:
            return Account("")  # answered by `unknown`, whoever asks
        account = self.keys.find(bearer(request))
        if account is None or account.traits.get("region", self._region) != self._region:
            raise bad_key()
        if account.traits.get("state", "active") != "active":
            raise Refused(403, "The API key is disabled.")
        account = projects.acting(account, request)
        self._admit(account, request)
        return account

    def _admit(self, account: Account, request: Request) -> None:
        """A refusal tells no time to wait (LlamaCloud's documentation of its limits)."""
        per_minute = PLANS[account.traits.get("plan", self._plan)].requests_per_minute
        limits = account.limits or (Limits(per_minute) if per_minute else None)
        refusal = self.limiter.admit(account.project, 0, limits)
        if refusal is None and request.method == "POST" and request.path in _UPLOAD_PATHS:
            refusal = self.limiter.admit(f"{account.project} uploads", 0, UPLOADS)
        if refusal:
            raise Refused(429, catalogue.RATE_LIMITED)

    def refusal(self, fault: Fault) -> Reply | None:
        """As LlamaCloud writes it."""
        return catalogue.refusal(fault, self.clock.now())

    def unknown(self, request: Request) -> Reply:
        """404."""
        return no_such_path().reply

    def logical_call(self, request: Request) -> str:
        """A create by its file's content and its options, whatever the id of its upload."""
        body = request.json if request.method == "POST" and request.path == "/api/v2/parse" else None
        if isinstance(body, dict) and (content := self._files.peek(str(body.get("file_id")))):
            what = {**body, "file_id": content, "user_metadata": None, "webhook_configurations": None}
            return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
        if not request.body and (size := request.headers.get("content-length", "0")) != "0":
            return hashlib.sha256(f"{request.method} {request.path} {size}".encode()).hexdigest()
        return super().logical_call(request)


def simulator(
    settings: LlamaCloudSettings | None = None, port: int = 0, control_port: int = 0
) -> LlamaCloudSimulator:
    """A simulator on loopback ports, free ones where none are named, while its block runs."""
    return LlamaCloudSimulator(settings or LlamaCloudSettings(), port, control_port)
