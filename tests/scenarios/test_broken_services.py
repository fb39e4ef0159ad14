"""The counter-tests: with one service broken, exactly the scenarios that need it are red."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.pipeline.workbench import simulated
from tests.scenarios.conftest import BUCKET, Stacks, change_bucket
from tests.scenarios.scenarios import OBJECTS, PARSES, SCENARIOS, VECTORS, Scenario
from tests.scenarios.stand import SIMULATOR, VENDOR, Stand, standing
from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.runtime.errors import ServiceError
from waybill.sim.remote import Remote
from waybill.stack.home import Home
from waybill.stack.probe import NOT_SERVING, SERVING

pytestmark = pytest.mark.slow

AT_ONCE = dict.fromkeys(VENDOR, 0.0)
# So long is waited for what must fail; what works has the patience of any test.
DEAD_SECONDS = 10.0
Breaking = Callable[[Remote], AbstractContextManager[None]]


@contextmanager
def wrong_key(vendor: Remote) -> Iterator[None]:
    """The vendor refuses the key that the stack has."""
    vendor.keys.revoke(vendor.key)
    try:
        yield
    finally:
        vendor.keys.add(vendor.key)


@contextmanager
def wrong_bucket(vendor: Remote) -> Iterator[None]:
    """There is no bucket of the name that the stack has."""
    change_bucket(vendor, "POST", "/waybill/empty", {})
    change_bucket(vendor, "DELETE", "/waybill", {})
    try:
        yield
    finally:
        change_bucket(vendor, "POST", "", {"id": "waybill", "name": "waybill", **BUCKET})


@contextmanager
def dead(vendor: Remote) -> Iterator[None]:
    """Nobody listens there."""
    vendor.change("/outage")
    try:
        yield
    finally:
        vendor.change("/outage", end=True)


def meet(at: Stand, service: str) -> None:
    """A call that finds out, so that the service's health need not wait for its next look."""
    with pytest.raises((ServiceError, AssertionError)):
        match service:
            case "storage":
                at.put("k", b"x")
            case "parser":
                assert not at.parse("a.html", at.correlation_id.encode()).reason
            case _:
                at.embed(at.correlation_id)


def red(home: Home, folder: Path, scenarios: Iterable[Scenario], patience_seconds: float) -> set[str]:
    """Titles of the scenarios that fail."""
    found = set()
    for scenario in scenarios:
        with standing(home, SIMULATOR, folder, AT_ONCE, patience_seconds) as at:
            try:
                scenario.check(at)
            except (AssertionError, ServiceError, pytest.fail.Exception):
                found.add(scenario.title)
    return found


def needing(service: str) -> set[str]:
    """Titles of the scenarios that a service's failure must turn red."""
    return {one.title for one in SCENARIOS if service in one.needs}


@pytest.mark.parametrize(
    ("service", "broken"), [(OBJECTS, wrong_bucket), (PARSES, wrong_key), (VECTORS, wrong_key)]
)
def test_with_one_service_broken_exactly_its_scenarios_are_red(
    stacks: Stacks, tmp_path: Path, service: str, broken: Breaking
) -> None:
    home = stacks(SIMULATOR)
    with standing(home, SIMULATOR, tmp_path, AT_ONCE) as at:
        with broken(at.vendors[service]):
            meet(at, service)
            eventually(lambda: at.health(service) == NOT_SERVING, f"{service} is said not to work")
            assert red(home, tmp_path, SCENARIOS, PATIENCE_SECONDS) == needing(service)
        eventually(lambda: at.health(service) == SERVING, f"{service} works again")


# One of each service, which is red where its vendor is dead or its answers are wrong, and no other.
OF = {
    OBJECTS: "Storage: file_upload",
    PARSES: "LlamaParse: api_connectivity",
    VECTORS: "OpenAI: embedding_generation",
}
# LlamaParse's reads its file from storage.
ALSO = {OBJECTS: {OF[OBJECTS], OF[PARSES]}, PARSES: {OF[PARSES]}, VECTORS: {OF[VECTORS]}}


@pytest.mark.parametrize("service", OF)
def test_with_a_dead_vendor_what_needs_it_is_red(stacks: Stacks, tmp_path: Path, service: str) -> None:
    home = stacks(SIMULATOR)
    need_it = [one for one in SCENARIOS if one.title in ALSO[service]]
    others = [one for one in SCENARIOS if one.title in set(OF.values()) - ALSO[service]]
    with dead(simulated(home, VENDOR[service])):
        assert red(home, tmp_path, need_it, DEAD_SECONDS) == ALSO[service]
        assert red(home, tmp_path, others, PATIENCE_SECONDS) == set()
    with standing(home, SIMULATOR, tmp_path, AT_ONCE) as at:
        eventually(lambda: at.health(service) == SERVING, f"{service} works again")


@pytest.mark.parametrize(
    ("service", "fault"),
    [(OBJECTS, "F21/size"), (PARSES, "F27/all"), (PARSES, "F14/types"), (VECTORS, "O20"), (VECTORS, "O24")],
)
def test_with_wrong_answers_what_needs_them_is_red(
    stacks: Stacks, tmp_path: Path, service: str, fault: str
) -> None:
    (scenario,) = [one for one in SCENARIOS if one.title == OF[service]]
    with standing(stacks(SIMULATOR), SIMULATOR, tmp_path, AT_ONCE, DEAD_SECONDS) as at:
        at.vendors[service].faults.add(fault)
        try:
            with pytest.raises((AssertionError, ServiceError)):
                scenario.check(at)
        finally:
            at.vendors[service].faults.heal()
        eventually(lambda: at.health(service) == SERVING, f"{service} works again")


def test_each_of_the_24_is_red_for_some_service() -> None:
    assert [one.title for one in SCENARIOS if not one.needs] == []
