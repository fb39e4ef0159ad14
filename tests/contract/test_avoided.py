"""What runs found there and did not buy: noted once, at its price, and in no sum of money."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import a_run, hold, ledger, refused
from tests.contract.test_ledger_report import asked, sums
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.avoided_pb2 import Avoided, ListAvoidedRequest, NoteAvoidedRequest
from waybill.ledger.v1.ledger_service_pb2 import SettleRequest
from waybill.runtime import identity

if TYPE_CHECKING:
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

REAL = CostKind.COST_KIND_REAL


def kept(tokens: int, **more: object) -> NoteAvoidedRequest:
    fields = {
        "operation": "embed", "service": "embedder", "kind": REAL, "vendor": "openai",
        "model": "text-embedding-3-small", "unit": "token", "quantity": tokens,
    }  # fmt: skip
    return NoteAvoidedRequest(kept=NoteAvoidedRequest.Kept(**(fields | more)))  # type: ignore[arg-type]


def bought_by(run_id: str, *operations: str) -> NoteAvoidedRequest:
    earlier = NoteAvoidedRequest.Earlier(run_id=run_id, operations=operations or ("parse", "embed"))
    return NoteAvoidedRequest(earlier=earlier)


async def listed(stub: LedgerServiceAsyncStub, *run_ids: str) -> list[Avoided]:
    found: list[Avoided] = []
    request = ListAvoidedRequest(run_ids=run_ids, page_size=1)
    while True:
        answer = await stub.ListAvoided(request)
        found += answer.avoided
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def buy(stub: LedgerServiceAsyncStub, key: str, quantity: int, **more: object) -> None:
    wanted = hold(key, quantity, "embedder/1", kind=REAL, **more)
    await stub.Hold(wanted)
    await stub.Settle(SettleRequest(entry_id=wanted.entry_id, quantity=quantity))


async def test_what_an_earlier_run_bought_is_avoided_at_its_price_also_by_those_who_find_it_at_second_hand(
    database: MigratedPostgres,
) -> None:
    first = a_run()
    second, third = (replace(first, run_id=str(uuid.uuid4()), document_key=key) for key in "bc")
    async with ledger(database) as stub:
        with identity.acting_as(first):
            await buy(stub, "parse:1", 3, vendor="llamaparse", model="fast", unit="page", operation="parse",
                      service="parser")  # fmt: skip
            await buy(stub, "embed:s:1", 1_000)
            await buy(stub, "embed:s:2", 500)
            lost = hold("embed:s:3", kind=REAL)
            await stub.Hold(lost)
            await stub.Settle(SettleRequest(entry_id=lost.entry_id, doubt_reason="VENDOR_TIMEOUT"))
        with identity.acting_as(second):
            for _ in range(2):
                await stub.NoteAvoided(bought_by(first.run_id))
        with identity.acting_as(third):
            await stub.NoteAvoided(bought_by(second.run_id, "parse"))
        with identity.acting_as(first):
            found = {(one.run_id, one.operation): one for one in await listed(stub)}
            assert [one.operation for one in await listed(stub, second.run_id)] == ["parse", "embed"]
            await stub.NoteAvoided(bought_by(first.run_id))
            assert len(await listed(stub)) == len(found) == 3
            report = await stub.Report(asked("DOCUMENT"))
    told = {place: (one.quantity, one.nano_usd) for place, one in found.items()}
    assert told == {
        (second.run_id, "parse"): (3, 3_750_000),
        (second.run_id, "embed"): (1_500, 30_000),
        (third.run_id, "parse"): (3, 3_750_000),
    }
    lines = {(line.group, line.model): line for line in report.lines}
    there = lines["b", "text-embedding-3-small"]
    assert (there.attempts, there.settled_nano_usd, there.quantity) == (0, 0, 0)
    assert (there.cached_quantity, there.avoided_nano_usd) == (1_500, 30_000)
    assert there.price_nano_usd_per_million == 20_000_000
    assert lines["", "fast"].avoided_nano_usd == 0
    # What was not bought is in no total.
    assert sums(report, REAL) == (3_750_000 + 30_000, 0, 20_000)
    assert sum(total.attempts for total in report.totals) == 4


async def test_vectors_that_were_there_are_noted_before_the_run_buys_any_and_never_after(
    database: MigratedPostgres,
) -> None:
    who = a_run()
    late = replace(who, run_id=str(uuid.uuid4()))
    async with ledger(database) as stub:
        with identity.acting_as(who):
            for tokens in (700, 1_700):  # a step that is repeated sees its own purchases, too
                await stub.NoteAvoided(kept(tokens))
                await buy(stub, f"embed:s:{tokens}", 1_000)
            await stub.NoteAvoided(kept(0))
        with identity.acting_as(late):
            await buy(stub, "embed:s:1", 1_000)
            await stub.NoteAvoided(kept(1_000))
            (one,) = await listed(stub)
            assert await listed(stub, late.run_id) == []
    assert (one.run_id, one.quantity, one.nano_usd) == (who.run_id, 700, 14_000)


async def test_one_tenants_purchase_is_never_anothers_and_a_search_avoids_nothing(
    database: MigratedPostgres,
) -> None:
    first, other = a_run(), a_run()
    async with ledger(database) as stub:
        with identity.acting_as(first):
            await buy(stub, "embed:s:1", 1_000)
        with identity.acting_as(other):
            await stub.NoteAvoided(bought_by(first.run_id))
            assert await listed(stub) == []
            await stub.NoteAvoided(kept(5))
        with identity.acting_as(first):
            assert await listed(stub) == []
        with identity.acting_as(replace(first, run_id="")):
            told = await refused(stub.NoteAvoided(kept(5)))
    assert told == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "wrong",
    [NoteAvoidedRequest(), kept(-1), kept(1, operation="egress"), bought_by("x"),
     bought_by(str(uuid.uuid4()), "egress"), kept(1, model="unheard of")],
)  # fmt: skip
async def test_what_says_too_little_is_refused(database: MigratedPostgres, wrong: NoteAvoidedRequest) -> None:
    async with ledger(database) as stub:
        with identity.acting_as(a_run()):
            _, reason = await refused(stub.NoteAvoided(wrong))
    assert reason == ("PRICE_UNKNOWN" if wrong.kept.model == "unheard of" else "INVALID_REQUEST")
