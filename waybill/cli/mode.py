"""`waybill mode`: who does the work of parser, embedder and storage; and the live switch of the first two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from enum import Enum
from typing import Annotated

import typer

from waybill.cli.objects import KINDS, Shape
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, table
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.orchestrator.v1.mode_service_pb2 import GetModeRequest, ServiceMode, SetModeRequest
from waybill.runtime.identity import DEFAULT_TENANT


class Wanted(Enum):
    """What a service can be switched to."""

    LOCAL = "local"
    REAL = "real"
    HYBRID = "hybrid"
    SIMULATOR = "simulator"
    DEFAULT = "default"


# `real` never means simulators; `hybrid` takes the vendors that the stack has.
_REQUESTS = {
    Wanted.LOCAL: SetModeRequest(mode=Mode.MODE_LOCAL),
    Wanted.REAL: SetModeRequest(mode=Mode.MODE_REAL, vendor_kind=CostKind.COST_KIND_REAL),
    Wanted.HYBRID: SetModeRequest(mode=Mode.MODE_HYBRID),
    Wanted.SIMULATOR: SetModeRequest(mode=Mode.MODE_REAL, vendor_kind=CostKind.COST_KIND_SIMULATED),
    Wanted.DEFAULT: SetModeRequest(),
}


def mode(
    wanted: Annotated[
        Wanted | None,
        typer.Argument(metavar="MODE", help="local, real, hybrid, simulator; default: as each is set."),
    ] = None,
    services: Annotated[
        list[str] | None,
        typer.Option("--service", help="Only this one: parser or embedder; may be repeated."),
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Show which mode holds for each service, or switch it while runs are under way."""
    if services and wanted is None:
        raise typer.BadParameter("--service goes with a mode: waybill mode hybrid --service parser")
    with session(tenant, as_json) as here:
        modes = reachable(here.client).modes
        before: Sequence[ServiceMode] = modes.GetMode(GetModeRequest()).services
        found = before
        if wanted is not None:
            request = SetModeRequest(services=services or [])
            request.MergeFrom(_REQUESTS[wanted])
            found = modes.SetMode(request).services
        if as_json:
            here.screen.emit({"services": [mode_object(one) for one in found]})
            return
        header = ("service", "mode", "works now", "set by", "since (UTC)")
        here.screen.show(*table(header, map(_row, found), here.screen.page_width))
        for one in found:
            if one.choice.reason != Mode.Name(one.mode):
                here.screen.note(f"{one.service}: its vendor does not serve ({one.choice.reason}).")
        if _spaces(before) != _spaces(found):
            _say_spaces(here.screen)


def mode_object(one: ServiceMode) -> Shape:
    """The mode of a service; its keys are a promise, as those of `objects`."""
    choice = one.choice
    return {
        "service": one.service,
        "mode": _name(one),
        "source": ServiceMode.Source.Name(one.source).removeprefix("SOURCE_").lower(),
        "since": one.since.ToJsonString(),
        "set_by": one.set_by or None,
        "subject": one.subject or None,
        "credential_id": one.credential_id or None,
        "backend": choice.backend or None,
        "reason": choice.reason,
        "vendor_kind": KINDS.get(one.vendor_kind),
    }


def _name(one: ServiceMode) -> str:
    """As WAYBILL_MODE has it."""
    if one.mode == Mode.MODE_REAL and one.vendor_kind == CostKind.COST_KIND_SIMULATED:
        return Wanted.SIMULATOR.value
    return Mode.Name(one.mode).removeprefix("MODE_").lower()


def _row(one: ServiceMode) -> tuple[str, str, str, str, str]:
    by = "settings"
    if one.source == ServiceMode.SOURCE_SWITCH:
        by = plain(one.subject or one.credential_id or one.set_by)
    since = f"{one.since.ToDatetime(UTC):%Y-%m-%d %H:%M}"
    return one.service, _name(one), one.choice.backend or "nobody", by, since


def _spaces(found: Sequence[ServiceMode]) -> set[bool]:
    """Whether texts are embedded on this machine, and so in another space than a vendor's."""
    return {one.mode == Mode.MODE_LOCAL for one in found if one.service == "embedder"}


def _say_spaces(screen: Screen) -> None:
    screen.note(
        "The embedder has another model now. What is embedded by the other one is found by its words alone, "
        "until the mode is that of before, or `waybill migrate-space` has brought it here."
    )
