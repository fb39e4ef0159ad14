"""What was begun at a vendor is begun once: after a lost reply it is looked for first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from waybill.runtime.errors import Quota, ServiceError, Unavailable
from waybill.vendors.finding import CLOCK_SECONDS, Creation, among

LOST = Unavailable("LOST", "m", {"vendor": "v"})
REFUSED = Quota("LIMITED", "m", {"vendor": "v"})
OURS_REFUSED = Quota("LIMITED", "m")


class Vendor:
    """Begins things, and may lose or refuse to say so."""

    def __init__(self, *failures: ServiceError) -> None:
        self.failures = list(failures)
        self.begun: list[str] = []

    async def create(self) -> str:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not REFUSED:
            self.begun.append("job")
        if failure:
            raise failure
        return "job"

    async def find(self) -> str | None:
        return self.begun[-1] if self.begun else None


@pytest.mark.parametrize(("failure", "in_doubt"), [(LOST, True), (OURS_REFUSED, True), (REFUSED, False)])
async def test_only_the_vendors_own_refusal_leaves_no_doubt(failure: ServiceError, in_doubt: bool) -> None:
    vendor = Vendor(failure)
    creation = Creation("v", vendor.create, vendor.find)
    with pytest.raises(type(failure)):
        await creation.attempt()
    assert creation.in_doubt is in_doubt
    assert await creation.attempt() == "job"
    assert vendor.begun == ["job"]


@dataclass(frozen=True)
class One:
    name: str
    created_at: float


async def test_what_is_listed_is_looked_through_no_farther_back_than_it_can_be() -> None:
    looked = []

    async def newest() -> AsyncIterator[One]:
        for one in (One("b", 1000.0), One("a", 900.0), One("older", 900.0 - CLOCK_SECONDS), One("c", 0.0)):
            looked.append(one.name)
            yield one

    found = await among(newest(), 900.0, lambda one: one.name == "a")
    assert found == One("a", 900.0)
    assert await among(newest(), 901.0, lambda one: one.name == "c") is None
    assert "c" not in looked
