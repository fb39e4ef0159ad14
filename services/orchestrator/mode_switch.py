"""`waybill mode`: which mode holds for each service, and the live switch with all that it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from services.orchestrator.modes import Modes, Switch
from services.orchestrator.offers import Offers
from services.orchestrator.peers import Peers
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.backend_service_pb2 import GetBackendRequest, GetBackendResponse
from waybill.common.v1.cost_pb2 import CostKind
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.orchestrator.v1.mode_service_pb2 import ServiceMode
from waybill.runtime import identity
from waybill.runtime.audit import Audit
from waybill.runtime.errors import InvalidRequest, Precondition
from waybill.runtime.retry import insist
from waybill.runtime.wire import timestamp
from waybill.vendors.choosing import EMBEDDER, PARSER, vendor_of

STORAGE = "storage"
SWITCHED = (PARSER, EMBEDDER)
# A service that restarts is waited for.
ASK_SECONDS = 10.0


class ModeSwitch:
    """Shows modes and switches them.

    Args:
        modes: What stands.
        peers: Say what they can do.
        offers: Loads the embedder's model before a run needs it.
        audit: Is told of each switch, also of one that is refused.
        operator: The tenant whose callers may switch; empty is nobody.
    """

    def __init__(self, modes: Modes, peers: Peers, offers: Offers, audit: Audit, operator: str) -> None:
        self._modes = modes
        self._peers = peers
        self._offers = offers
        self._audit = audit
        self._operator = operator

    async def get(self) -> Sequence[ServiceMode]:
        """Parser, embedder and storage."""
        switches = await self._modes.switches()
        return [await self._told(name, switches.get(name)) for name in (*SWITCHED, STORAGE)]

    async def set(self, services: Sequence[str], mode: Mode, kind: CostKind) -> Sequence[ServiceMode]:
        """Switches services, or takes their switches back; answers what holds then.

        Args:
            services: None: all that can be switched.
            mode: Unspecified: as each is set.
            kind: What the vendors' money must be; unspecified: anything.

        Raises:
            InvalidRequest: INVALID_REQUEST.
            Precondition: OPERATOR_REQUIRED, MODE_FIXED, BACKEND_MISSING, LOCAL_REFUSED, PACKAGE_MISSING,
                VENDOR_KIND_MISMATCH. Nothing is switched then.
        """
        wanted = list(dict.fromkeys(services)) or SWITCHED
        action = "mode.switch" if mode else "mode.take_back"
        detail = {"mode": Mode.Name(mode)} if mode in Mode.values() and mode else {}
        with self._audit.noted(action, " ".join(wanted), detail):
            who = identity.caller()
            self._check(who.tenant, wanted)
            settings = await self._able(wanted, mode, kind)
            by = {"set_by": who.tenant, "subject": who.subject, "credential_id": who.credential_id}
            await self._modes.switch(settings, mode, by)
        return await self.get()

    def _check(self, tenant: str, services: Sequence[str]) -> None:
        if tenant != self._operator:
            raise Precondition(
                "OPERATOR_REQUIRED",
                "The mode is every tenant's: the operator switches it. Call as the tenant that "
                "WAYBILL_OPERATOR_TENANT names.",
            )
        if STORAGE in services:
            raise Precondition(
                "MODE_FIXED",
                "Storage's mode cannot be switched while it runs: its files lie in one store. Set "
                "STORAGE_BACKEND, and start it again. Nothing was switched.",
            )
        if unknown := set(services) - set(SWITCHED):
            raise InvalidRequest(
                "INVALID_REQUEST",
                f"No service is called {sorted(unknown)[0][:50]!r}. You can switch {', '.join(SWITCHED)}.",
            )

    async def _able(self, services: Sequence[str], mode: Mode, kind: CostKind) -> dict[str, str]:
        """What each service says of its settings; all that they lack for a mode is told at once."""
        settings: dict[str, str] = {}
        refusals: list[Precondition] = []
        for service in services:
            try:
                told = await self._asked(service, mode)
                if mode not in (Mode.MODE_UNSPECIFIED, Mode.MODE_LOCAL):
                    _check_kind(service, told.vendor_kind, kind)
                if service == EMBEDDER:
                    await self._offers.asked(EmbedRequest(mode=mode))
            except Precondition as error:
                refusals.append(error)
            else:
                settings[service] = told.settings
        if refusals:
            failure = refusals[0]
            text = " ".join(one.message for one in refusals)
            raise Precondition(failure.reason, f"{text} Nothing was switched.", failure.metadata)
        return settings

    async def _asked(self, service: str, mode: Mode) -> GetBackendResponse:
        request = GetBackendRequest(mode=mode)
        ask = partial(self._peers.backends[service].GetBackend, request, timeout=ASK_SECONDS)
        return await insist(ask, seconds=ASK_SECONDS)

    async def _told(self, service: str, switch: Switch | None) -> ServiceMode:
        told = await self._asked(service, switch.mode if switch else Mode.MODE_UNSPECIFIED)
        found = ServiceMode(
            service=service,
            mode=told.choice.mode,
            source=ServiceMode.SOURCE_SWITCH if switch else ServiceMode.SOURCE_SETTINGS,
            since=timestamp(switch.set_at) if switch else told.start_time,
            choice=told.choice,
            vendor_kind=told.vendor_kind,
        )
        if switch:
            found.set_by, found.subject = switch.set_by, switch.subject
            found.credential_id = switch.credential_id
        return found


def _check_kind(service: str, kind: CostKind, wanted: CostKind) -> None:
    if wanted in (CostKind.COST_KIND_UNSPECIFIED, kind):
        return
    vendor = vendor_of(service)
    if wanted == CostKind.COST_KIND_SIMULATED:
        text = f"{vendor} is no simulator here: `waybill up --mode simulator` starts a stack that has them."
    else:
        text = f"{vendor} is a simulator here, which the stack started: start it in the mode real."
    raise Precondition("VENDOR_KIND_MISMATCH", text)
