"""OpenAI over a real socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from waybill.sim.faults import Fault
from waybill.sim.invoice import Invoice
from waybill.sim.keys import Account, bearer
from waybill.sim.openai import catalogue
from waybill.sim.openai.api import Api
from waybill.sim.openai.batches import Batches
from waybill.sim.openai.embeddings import logical_call
from waybill.sim.openai.errors import Refused, bad_key
from waybill.sim.openai.files import Files
from waybill.sim.openai.organization import Organization
from waybill.sim.openai.settings import PRICES, OpenAISettings
from waybill.sim.simulator import Simulator, Vendor
from waybill.sim.wire import Reply, Request

# Of keys that name none.
SHARED_PROJECT = "proj_simulated"
VENDOR = Vendor("sk-", PRICES, catalogue.SCOPES, "embeddings", catalogue.TRANSPORT)


class OpenAISimulator(Simulator):
    """One running simulator; `simulator` makes it."""

    def __init__(self, settings: OpenAISettings, port: int, control_port: int) -> None:
        super().__init__(VENDOR, settings, port, control_port)
        files = Files(self.ids)
        self._batches = Batches(settings.batch, settings.seed, files, self._invoice, self.ids)
        api = Api(
            settings.latency_seconds_per_token,
            self.clock,
            self._invoice,
            self.limiter,
            files,
            self._batches,
            self.folder,
        )
        organization = Organization(self.clock, lambda: self.invoice)
        self.routes = [*api.routes(), *organization.routes()]

    @property
    def base_url(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"{self.url}/v1"

    @property
    def invoice(self) -> Invoice:
        """Every charge, that of batches which ended by now too."""
        self._batches.settle(self.clock.now())
        return self._invoice

    @property
    def controls(self) -> Mapping[str, Callable[..., None]]:
        """How long batches take that are created from now on."""
        return {"/batches": self._batches.take}

    def authorize(self, request: Request) -> Account:
        """Whose key a request has, and the project that it acts for."""
        key = bearer(request)
        account = self.keys.find(key)
        if account is None:
            raise bad_key(key)
        named = {name: request.headers.get(f"openai-{name}", "") for name in ("organization", "project")}
        return account.acting_in(named, {"project": SHARED_PROJECT}, _mismatch)

    def refusal(self, fault: Fault) -> Reply | None:
        """As OpenAI writes it."""
        refused = catalogue.refusal(fault)
        return refused.reply if refused else None

    def unknown(self, request: Request) -> Reply:
        """404."""
        return Refused(404, f"Invalid URL ({request.method} {request.path})").reply

    def logical_call(self, request: Request) -> str:
        """By its inputs, where it has any."""
        given = request.json.get("input") if isinstance(request.json, dict) else None
        if given is None:
            return super().logical_call(request)
        return logical_call(given if isinstance(given, list) else [given])

    def stamp(self, request_id: str, latency_seconds: float) -> Mapping[str, str]:
        """OpenAI's headers."""
        return {
            "x-request-id": request_id,
            "openai-processing-ms": str(round(latency_seconds * 1000)),
            "openai-version": "2020-10-01",
        }


def _mismatch(name: str) -> Refused:
    message = f"OpenAI-{name.title()} should match the API key."
    return Refused(401, message, code=f"mismatched_{name}")


def simulator(
    settings: OpenAISettings | None = None, port: int = 0, control_port: int = 0
) -> OpenAISimulator:
    """A simulator on loopback ports, free ones where none are named, while its block runs."""
    return OpenAISimulator(settings or OpenAISettings(), port, control_port)
