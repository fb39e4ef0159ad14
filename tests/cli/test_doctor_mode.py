"""`waybill doctor` and the mode that holds, as the orchestrator tells it."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from waybill.cli.checks.finding import State
from waybill.cli.checks.modes import of_services
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.orchestrator.v1.mode_service_pb2 import ServiceMode


def held(service: str, mode: Mode, backend: str, reason: str = "", **switch: str) -> ServiceMode:
    source = ServiceMode.SOURCE_SWITCH if switch else ServiceMode.SOURCE_SETTINGS
    choice = BackendChoice(service=service, backend=backend, mode=mode, reason=reason or Mode.Name(mode))
    since = Timestamp(seconds=1795838520)
    return ServiceMode(service=service, mode=mode, source=source, since=since, choice=choice, **switch)


def test_the_mode_of_the_start_is_said() -> None:
    found = of_services([held("parser", Mode.MODE_REAL, "llamaparse")], "real")
    assert (found.state, found.detail, found.mend) == (State.OK, "as it was started: parser real", "")


def test_a_live_switch_is_said_with_whose_it_is_and_how_it_ends() -> None:
    found = of_services([held("parser", Mode.MODE_LOCAL, "local", set_by="ops")], "hybrid")
    assert found.state is State.OK
    assert "parser is local since 2026-11-28T04:02Z, by tenant ops" in found.detail
    assert "started in hybrid" in found.detail
    assert "waybill mode default" in found.mend


def test_a_service_that_works_without_its_vendor_is_told() -> None:
    found = of_services([held("embedder", Mode.MODE_HYBRID, "", "VENDOR_UNREACHABLE")], "hybrid")
    assert (found.state, "embedder (VENDOR_UNREACHABLE; nobody" in found.detail) == (State.FAILED, True)
