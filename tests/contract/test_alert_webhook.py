"""Alerts reach the webhook's receiver: once each, signed, whatever fails or dies, and nothing private."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import hmac
import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from services.ledger.config import LedgerConfig
from services.ledger.deliveries import LONGEST_PAUSE, pause_after
from services.ledger.webhook import NotDelivered, WebhookConfig, opened, url_fault
from tests.conftest import MigratedPostgres
from tests.contract.makers_ledger import hold, ledger
from tests.inprocess import channel, someone
from tests.waiting import until
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget, BudgetAlert
from waybill.ledger.v1.ledger_service_pb2 import ListBudgetAlertsRequest, SetBudgetRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.runtime import identity
from waybill.runtime.config import ConfigError
from waybill.runtime.public_address import PrivateAddress, addresses_of, may_be_reached
from waybill.sim.server import HttpServer
from waybill.sim.wire import Reply, Request
from waybill.stack.ports import free_ports
from waybill.vendors.keys import Keys

SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, of 32 byt").decode()
OLDER = "an older secret, which is only text"
# Of one `hold()`.
PRICE = 20_000


@dataclass
class Receiver:
    """Somebody's HTTP server. It answers 200 but for one tenant's messages, as it is told.

    Attributes:
        tenant: Whose messages count.
        answers: For these, in turn; then 200.
        got: Headers and body of each of these.
    """

    tenant: str
    answers: list[Reply] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = HttpServer(self._handle)
        self.server.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/alerts?of=waybill"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    async def _handle(self, request: Request) -> Reply:
        whole = await request.whole()
        # Other tests' alerts are delivered here, too.
        if json.loads(whole.body)["data"]["tenant"] != self.tenant:
            return Reply(200)
        self.got.append((dict(whole.headers), whole.body))
        return self.answers.pop(0) if self.answers else Reply(200)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver(f"t{uuid.uuid4().hex[:12]}")
    yield one
    await one.server.close()


def config(url: str, *secrets: str) -> WebhookConfig:
    return WebhookConfig(url, Keys(secrets or [SECRET]), loopback=True)


def a_budget(limit: int, *thresholds: int, **more: Any) -> SetBudgetRequest:
    usual: dict[str, Any] = {
        "kind": CostKind.COST_KIND_SIMULATED,
        "unit": Budget.UNIT_NANO_USD,
        "period": Budget.PERIOD_DAY,
    }
    return SetBudgetRequest(budget=Budget(**(usual | {"limit": limit, "thresholds": thresholds} | more)))


async def alerts(stub: Any) -> list[BudgetAlert]:
    return list((await stub.ListBudgetAlerts(ListBudgetAlertsRequest())).alerts)


def delivered(stub: Any, count: int) -> Callable[[], Any]:
    async def all_of_them() -> bool:
        return [one.HasField("deliver_time") for one in await alerts(stub)] == [True] * count

    return all_of_them


def signed_by(secret: bytes, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver verifies it, by the text of Standard Webhooks."""
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    made = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
    return f"v1,{made}" in headers["webhook-signature"].split(" ")


async def test_of_twenty_callers_at_two_ledgers_each_threshold_and_window_is_delivered_once(
    database: MigratedPostgres, receiver: Receiver
) -> None:
    webhook = config(receiver.url)
    async with ledger(database, webhook=webhook) as one, ledger(database, webhook=webhook) as other:
        with identity.acting_as(someone(receiver.tenant)):
            day = (await one.SetBudget(a_budget(25 * PRICE, 20, 60))).budget.budget_id
            month = (
                await one.SetBudget(a_budget(20 * PRICE, 50, period=Budget.PERIOD_MONTH))
            ).budget.budget_id
            calls = [stub.Hold(hold(f"embed:s:{uuid.uuid4()}")) for stub in [one, other] * 10]
            await asyncio.gather(*calls)
            await until(delivered(one, 3))
    told = [message["data"] for message in receiver.messages]
    assert sorted((data["budget_id"], data["threshold_percent"]) for data in told) == sorted(
        [(day, 20), (day, 60), (month, 50)]
    )
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 3
    for message in receiver.messages:
        data = message["data"]
        assert message["type"] == "budget.threshold_reached"
        assert (data["kind"], data["unit"]) == ("simulated", "nano_usd")
        assert data["counted"] == data["used"] + data["held"] + data["in_doubt"]
        assert data["counted"] * 100 >= data["limit"] * data["threshold_percent"]
        assert data["text"]["limit"] == {25: "$0.0005", 20: "$0.0004"}[data["limit"] // PRICE]
        assert data["window_reset"] > message["timestamp"] > data["window_start"]
    for headers, body in receiver.got:
        assert signed_by(base64.b64decode(SECRET.removeprefix("whsec_")), headers, body)
        assert not signed_by(b"another secret of 24 bytes or more", headers, body)
        assert (headers["content-type"], headers["host"]) == (
            "application/json",
            f"127.0.0.1:{receiver.server.port}",
        )


@pytest.mark.slow
async def test_a_message_that_is_refused_comes_again_under_its_id_and_what_failed_is_seen(
    database: MigratedPostgres, receiver: Receiver
) -> None:
    elsewhere = Reply(307, headers={"location": receiver.url})
    receiver.answers = [Reply(500, b"sk-planted-in-an-answer"), elsewhere]
    async with ledger(database, webhook=config(receiver.url, SECRET, OLDER)) as stub:
        with identity.acting_as(someone(receiver.tenant)):
            await stub.SetBudget(a_budget(PRICE))
            await stub.Hold(hold())
            for said in ("HTTP 500", "HTTP 307"):
                await until(lambda said=said: refused_with(stub, said))  # type: ignore[misc]
                hasten(database, receiver.tenant)
            await until(delivered(stub, 1))
            (alert,) = await alerts(stub)
    assert (alert.attempts, alert.last_error, alert.HasField("give_up_time")) == (3, "", False)
    assert len({(headers["webhook-id"], body) for headers, body in receiver.got}) == 1
    # While the secret is changed, either one verifies it.
    for headers, body in receiver.got:
        assert signed_by(OLDER.encode(), headers, body)
        assert signed_by(base64.b64decode(SECRET.removeprefix("whsec_")), headers, body)


async def refused_with(stub: Any, said: str) -> bool:
    (alert,) = await alerts(stub)
    return alert.last_error == said


def hasten(database: MigratedPostgres, tenant: str, age: str = "0 s") -> None:
    """Lets the pause before the next attempt pass, and so much time since the alert."""
    with psycopg.connect(database.admin_url) as connection:
        connection.execute(
            "update waybill_ledger.budget_alerts"
            " set next_at = clock_timestamp(), alerted_at = alerted_at - %s::interval"
            " where tenant = %s and next_at is not null",
            [age, tenant],
        )


async def test_a_receiver_that_is_down_gets_its_message_when_it_is_up(
    database: MigratedPostgres, receiver: Receiver
) -> None:
    receiver.server.down()
    async with ledger(database, webhook=config(receiver.url)) as stub:
        with identity.acting_as(someone(receiver.tenant)):
            await stub.SetBudget(a_budget(PRICE))
            await stub.Hold(hold())
            await until(lambda: refused_with(stub, "no connection (ConnectError)"))
            receiver.server.up()
            hasten(database, receiver.tenant)
            await until(delivered(stub, 1))
    assert len(receiver.got) == 1


async def test_an_alert_is_given_up_visibly_where_nobody_wants_it_or_a_day_has_passed(
    database: MigratedPostgres, receiver: Receiver
) -> None:
    receiver.answers = [Reply(410), Reply(503)]
    async with ledger(database, webhook=config(receiver.url)) as stub:
        with identity.acting_as(someone(receiver.tenant)):
            await stub.SetBudget(a_budget(PRICE))
            await stub.Hold(hold())

            async def given_up() -> bool:
                return all(one.HasField("give_up_time") for one in await alerts(stub))

            await until(given_up)
            assert [one.last_error for one in await alerts(stub)] == ["HTTP 410"]
            await stub.SetBudget(a_budget(PRICE, period=Budget.PERIOD_MONTH, unit=Budget.UNIT_BYTES))
            await stub.Hold(hold(f"embed:s:{uuid.uuid4()}", quantity=0, size_bytes=PRICE))
            await until(lambda: newest_refused_with(stub, "HTTP 503"))
            hasten(database, receiver.tenant, age="25 hours")
            await until(given_up)
            assert sorted(one.last_error for one in await alerts(stub)) == ["HTTP 410", "HTTP 503"]
    assert len(receiver.got) == 2


async def newest_refused_with(stub: Any, said: str) -> bool:
    return (await alerts(stub))[0].last_error == said


async def test_what_was_raised_while_no_receiver_was_set_is_sent_later_unless_it_is_old(
    database: MigratedPostgres, receiver: Receiver
) -> None:
    with identity.acting_as(someone(receiver.tenant)):
        async with ledger(database) as stub:
            await stub.SetBudget(a_budget(PRICE))
            await stub.Hold(hold())
            hasten(database, receiver.tenant, age="25 hours")
            await stub.SetBudget(a_budget(PRICE, period=Budget.PERIOD_MONTH, unit=Budget.UNIT_BYTES))
            await stub.Hold(hold(f"embed:s:{uuid.uuid4()}", quantity=0, size_bytes=PRICE))
        async with ledger(database, webhook=config(receiver.url)) as stub:

            async def ended() -> bool:
                return all(
                    one.HasField("deliver_time") or one.HasField("give_up_time") for one in await alerts(stub)
                )

            await until(ended)
            newer, older = await alerts(stub)
    assert (newer.HasField("deliver_time"), older.last_error) == (True, "no receiver was set")
    assert [message["data"]["unit"] for message in receiver.messages] == ["bytes"]


@pytest.mark.parametrize(("where", "times"), [("ledger.alert.before", 1), ("ledger.alert.after", 2)])
async def test_a_ledger_that_is_killed_while_it_delivers_loses_no_alert(
    database: MigratedPostgres, receiver: Receiver, tmp_path: Path, where: str, times: int
) -> None:
    # Other tests' alerts must not use the fault up.
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("update waybill_ledger.budget_alerts set next_at = null")
    (tmp_path / where).write_text("kill")
    async with ledger_process(database, receiver.url, tmp_path) as (process, address):
        async with channel(address) as opened_channel:
            stub = LedgerServiceStub(opened_channel)
            with identity.acting_as(someone(receiver.tenant)):
                await stub.SetBudget(a_budget(PRICE))
                with suppress(grpc.aio.AioRpcError):  # it may be killed before it answers
                    await stub.Hold(hold())
        assert await process.wait() == -signal.SIGKILL
    assert len(receiver.got) == times - 1
    async with ledger(database, webhook=config(receiver.url)) as stub:
        with identity.acting_as(someone(receiver.tenant)):
            hasten(database, receiver.tenant)
            await until(delivered(stub, 1))
    assert len(receiver.got) == times
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


@asynccontextmanager
async def ledger_process(
    database: MigratedPostgres, url: str, faults: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A ledger of its own; killed where it lives at the block's end."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ledger",
        env={
            **os.environ, "WAYBILL_BIND": address, "WAYBILL_FAULTS": str(faults),
            "WAYBILL_DATABASE_URL": database.url("ledger"),
            "WAYBILL_OWNER_DATABASE_URL": database.owner_url("ledger"),
            "WAYBILL_ALERT_WEBHOOK_URL": url, "WAYBILL_ALERT_WEBHOOK_SECRET": SECRET,
        },
    )  # fmt: skip
    try:
        yield process, address
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True),
        ("127.0.0.1", False), ("127.8.8.8", False), ("::1", False), ("0.0.0.0", False), ("::", False),  # noqa: S104
        ("10.0.0.1", False), ("172.16.0.1", False), ("192.168.1.1", False), ("100.64.0.1", False),
        ("169.254.169.254", False), ("fe80::1", False), ("fd00::1", False), ("224.0.0.1", False),
        ("ff02::1", False), ("255.255.255.255", False), ("192.0.2.1", False), ("198.18.0.1", False),
        ("::ffff:10.0.0.1", False), ("::ffff:8.8.8.8", True), ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True), ("2002:a00:1::", False), ("::ffff:127.0.0.1", False),
    ],
)  # fmt: skip
def test_only_public_addresses_are_reached(address: str, public: bool) -> None:
    assert may_be_reached(address, loopback=False) is public


async def test_a_name_that_leads_to_a_private_address_is_refused_before_anything_is_sent(
    receiver: Receiver,
) -> None:
    with pytest.raises(PrivateAddress):
        await addresses_of("localhost", 443, loopback=False)
    # In production this machine is as private as any other address.
    url = f"http://localhost:{receiver.server.port}/"
    async with opened(WebhookConfig(url, Keys([SECRET]), loopback=False)) as webhook:
        with pytest.raises(NotDelivered, match="private address"):
            await webhook.send("alert-1", b'{"data":{"tenant":null}}')
    assert not receiver.got
    async with opened(config(f"http://localhost:{receiver.server.port}/")) as webhook:
        body = json.dumps({"data": {"tenant": receiver.tenant}}).encode()
        await webhook.send("alert-1", body)
    assert [headers["host"] for headers, _ in receiver.got] == [f"localhost:{receiver.server.port}"]


async def test_nothing_is_sent_unsigned(receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text("too short\n")
    body = json.dumps({"data": {"tenant": receiver.tenant}}).encode()
    async with opened(WebhookConfig(receiver.url, Keys([], file), loopback=True)) as webhook:
        with pytest.raises(NotDelivered, match="no secret"):
            await webhook.send("alert-1", body)
        file.write_text(f"{OLDER.replace(' ', '-')}\n")
        await webhook.send("alert-1", body)
    ((headers, got),) = receiver.got
    assert signed_by(OLDER.replace(" ", "-").encode(), headers, got)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://alerts.example.com/a?b=c", ""), ("http://127.0.0.1:8080/", ""), ("https://[::1]/", ""),
        ("http://alerts.example.com/", "https://"), ("ftp://a.example", "https://"), ("", "https://"),
        ("https://10.0.0.1/", "private"), ("https://[fd00::1]/", "private"),
        ("https://a:b@c.example/", "password"),
        ("https://a.example:port/", "no address"), ("https://169.254.169.254/latest", "private"),
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_receiver_is_told(url: str, fault: str) -> None:
    assert fault in url_fault(url, loopback=True)
    assert bool(url_fault(url, loopback=True)) is bool(fault)


def test_in_production_this_machine_is_no_receiver() -> None:
    for url in ("http://127.0.0.1/", "https://localhost/", "https://[::1]/"):
        assert url_fault(url, loopback=False)


def test_a_ledger_does_not_start_where_alerts_would_not_be_signed() -> None:
    database = {"WAYBILL_DATABASE_URL": "postgresql://", "WAYBILL_OWNER_DATABASE_URL": "postgresql://"}
    url = {"WAYBILL_ALERT_WEBHOOK_URL": "https://alerts.example.com/"}
    with pytest.raises(ConfigError, match="nothing would be signed"):
        LedgerConfig.from_env(database | url)
    with pytest.raises(ConfigError, match="less than 24 bytes"):
        LedgerConfig.from_env(database | url | {"WAYBILL_ALERT_WEBHOOK_SECRET": "whsec_c2hvcnQ="})
    made = LedgerConfig.from_env(database | url | {"WAYBILL_ALERT_WEBHOOK_SECRET": SECRET})
    assert made.webhook is not None
    assert SECRET not in repr(made)


def test_pauses_grow_to_an_hour() -> None:
    pauses = [pause_after(attempts, 0.0) for attempts in (1, 2, 3, 11, 5_000)]
    assert [one.total_seconds() for one in pauses] == [5, 10, 20, 3600, 3600]
    assert pause_after(5_000, 1.0) == LONGEST_PAUSE * 1.25 == datetime.timedelta(minutes=75)
