"""The mode that holds in the running stack, which `waybill mode` may have switched since the start."""

from __future__ import annotations

from collections.abc import Sequence

from waybill.cli.checks.finding import Finding, State
from waybill.cli.mode import mode_object
from waybill.cli.objects import Shape
from waybill.common.v1.backend_pb2 import Mode
from waybill.orchestrator.v1.mode_service_pb2 import ServiceMode

CHECK = "mode"


def of_services(found: Sequence[ServiceMode], started: str) -> Finding:
    """What holds, and whether a live switch made it so.

    Args:
        found: Parser, embedder and storage, as the orchestrator tells them.
        started: The mode that the stack was started in.
    """
    told = [mode_object(one) for one in found]
    without = [
        f"{one['service']} ({one['reason']}; {one['backend'] or 'nobody'} does its work now)"
        for one, service in zip(told, found, strict=True)
        if one["reason"] != Mode.Name(service.mode)
    ]
    switched = [
        f"{one['service']} is {one['mode']} since {one['since'][:16]}Z, by {_whom(one)}"
        for one in told
        if one["source"] == "switch"
    ]
    if without:
        detail = f"the vendor does not serve, of {', '.join(without)}"
        return Finding(CHECK, State.FAILED, detail, "see the vendor's rows below, then `waybill mode`")
    if switched:
        detail = f"a live switch holds: {'; '.join(switched)}; the stack was started in {started}"
        return Finding(CHECK, State.OK, detail, "nothing, or `waybill mode default`, which takes it back")
    each = ", ".join(f"{one['service']} {one['mode']}" for one in told)
    return Finding(CHECK, State.OK, f"as it was started: {each}")


def _whom(one: Shape) -> str:
    return str(one["subject"] or f"tenant {one['set_by']}")
