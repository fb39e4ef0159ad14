"""Sends an alert to the webhook's receiver: signed as Standard Webhooks 1.0 has it, and to public addresses.

The signature is HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`, base64 behind `v1,`; while the
secret is changed there is one for each secret, with a space between them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from services.ledger.exceeding import amount
from services.ledger.rows import ALL_TENANTS, Row
from waybill import money_settings as own
from waybill.runtime.config import Settings
from waybill.runtime.public_address import PrivateAddress, addresses_of, may_be_reached
from waybill.runtime.settings import ENV
from waybill.runtime.tls import LOOPBACK
from waybill.vendors.keys import Keys

if TYPE_CHECKING:
    import httpx2

TYPE = "budget.threshold_reached"
SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets begin
LEAST_SECRET_BYTES = 24
# Of all that one attempt does.
ATTEMPT_SECONDS = 15.0


class NotDelivered(Exception):
    """The receiver does not have a message, or did not say so; the text has nothing that it wrote.

    Attributes:
        final: It wants no more.
    """

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


@dataclass(frozen=True)
class WebhookConfig:
    """Where alerts are sent.

    Attributes:
        url: WAYBILL_ALERT_WEBHOOK_URL.
        secrets: WAYBILL_ALERT_WEBHOOK_SECRET and, while it is changed, WAYBILL_ALERT_WEBHOOK_SECRET_PREVIOUS;
            or WAYBILL_ALERT_WEBHOOK_SECRET_FILE, a secret a line, read again when it changes.
        loopback: This machine is taken, without TLS too: but in production.
    """

    url: str
    secrets: Keys
    loopback: bool = False

    @classmethod
    def read(cls, settings: Settings) -> WebhookConfig | None:
        """From the environment; None where no address is set. What is wrong is told by `settings.check`."""
        url, file = settings.text(own.ALERT_WEBHOOK_URL), settings.text(own.ALERT_WEBHOOK_SECRET_FILE)
        given = [settings.text(one) for one in (own.ALERT_WEBHOOK_SECRET, own.ALERT_WEBHOOK_SECRET_PREVIOUS)]
        if not url:
            return None
        loopback = settings.text(ENV) != "production"
        if fault := url_fault(url, loopback=loopback):
            settings.fault(f"{own.ALERT_WEBHOOK_URL.name} {fault}")
        if not given[0] and not file:
            settings.fault(
                f"{own.ALERT_WEBHOOK_URL.name} is set without {own.ALERT_WEBHOOK_SECRET.name}: nothing would "
                "be signed"
            )
        if any(len(_secret(one)) < LEAST_SECRET_BYTES for one in given if one):
            settings.fault(f"{own.ALERT_WEBHOOK_SECRET.name} has less than {LEAST_SECRET_BYTES} bytes")
        return cls(url, Keys(given, Path(file) if file else None), loopback)


def url_fault(url: str, *, loopback: bool) -> str:
    """What is wrong with the address of a receiver; empty where nothing is."""
    try:
        place = urlsplit(url)
        host, _ = place.hostname or "", place.port
    except ValueError:
        return "is no address"
    on_this_machine = host in LOOPBACK
    if place.scheme != "https" and not (place.scheme == "http" and on_this_machine and loopback):
        return "must begin with https://"
    if not host or "@" in place.netloc or place.fragment:
        return "must be an address without a password or a fragment"
    try:
        public = may_be_reached(host, loopback=loopback)
    except ValueError:  # a name
        public = not on_this_machine or loopback
    return "" if public else "is a private address, which nothing is sent to"


def message_id(alert: Row) -> str:
    """The same at each attempt, by any ledger."""
    return f"alert-{alert['window_id']}-{alert['threshold']}"


def message(alert: Row) -> bytes:
    """What is sent of an alert: a row of budget_alerts with its budget's and window's columns.

    Amounts are integers in the budget's unit, and beside them text for people.
    """
    sums = {name: alert[name] for name in ("used", "held", "in_doubt")}
    amounts = {"limit": alert["limit_amount"], **sums, "counted": sum(sums.values())}
    everyone = alert["tenant"] == ALL_TENANTS
    data = {
        "budget_id": str(alert["budget_id"]),
        "all_tenants": everyone,
        "tenant": None if everyone else alert["tenant"],
        "collection": alert["collection"] or None,
        "service": alert["service"] or None,
        "run_id": None if alert["window_run_id"] is None else str(alert["window_run_id"]),
        "kind": alert["kind"].lower(),
        "unit": alert["unit"].lower(),
        "period": alert["period"].lower(),
        "window_start": _moment(alert["started_at"]),
        "window_reset": _moment(alert["resets_at"]),
        "threshold_percent": alert["threshold"],
        **amounts,
        "text": {name: amount(alert["unit"], number) for name, number in amounts.items()},
    }
    told = {"type": TYPE, "timestamp": _moment(alert["alerted_at"]), "data": data}
    return json.dumps(told, separators=(",", ":")).encode()


def signatures(secrets: Sequence[str], sent_id: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature."""
    signed = f"{sent_id}.{timestamp}.".encode() + body
    made = (hmac.new(_secret(one), signed, hashlib.sha256).digest() for one in secrets)
    return " ".join(f"v1,{base64.b64encode(one).decode()}" for one in made)


class Webhook:
    """The receiver, as it is reached. Made by `opened`."""

    def __init__(
        self, config: WebhookConfig, http: httpx2.AsyncClient, now: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._http = http
        self._now = now

    async def send(self, sent_id: str, body: bytes) -> None:
        """One attempt: the receiver has it when this returns.

        Raises:
            NotDelivered: Send it again, unless that is final.
        """
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                status = await self._post(sent_id, body)
        except TimeoutError:
            raise NotDelivered(f"no answer within {ATTEMPT_SECONDS:g} s") from None
        except (PrivateAddress, UnicodeError) as error:
            raise NotDelivered(f"refused by us: {error}") from error
        except OSError:
            raise NotDelivered("its name leads to no address") from None
        if not 200 <= status < 300:
            raise NotDelivered(f"HTTP {status}", final=status == 410)

    async def _post(self, sent_id: str, body: bytes) -> int:
        import httpx2

        place = httpx2.URL(self._config.url)
        host, port = place.raw_host.decode(), place.port or (443 if place.scheme == "https" else 80)
        secrets = [one for one in self._config.secrets.all() if len(_secret(one)) >= LEAST_SECRET_BYTES]
        if not secrets:
            raise NotDelivered(f"there is no secret of {LEAST_SECRET_BYTES} bytes or more to sign with")
        timestamp = int(self._now())
        headers = {
            "host": place.netloc.decode(),
            "content-type": "application/json",
            "webhook-id": sent_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures(secrets, sent_id, timestamp, body),
        }
        failure = NotDelivered("its name leads to no address")
        for address in await addresses_of(host, port, loopback=self._config.loopback):
            try:
                async with self._http.stream(
                    "POST",
                    place.copy_with(host=address),
                    content=body,
                    headers=headers,
                    # The certificate is the name's, and not the address's.
                    extensions={"sni_hostname": host},
                ) as response:
                    return response.status_code
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = NotDelivered(f"no connection ({type(error).__name__})")
            except httpx2.RequestError as error:
                raise NotDelivered(f"no answer ({type(error).__name__})") from error
        raise failure


@asynccontextmanager
async def opened(config: WebhookConfig) -> AsyncIterator[Webhook]:
    """The receiver, for the length of a block."""
    # Only a ledger with a receiver needs it.
    import httpx2

    # At INFO they tell the address, which may hold what only its receiver should know.
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    transport = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_keepalive_connections=0))
    # With a transport of its own, the client asks no proxy of the environment, which would resolve anew.
    async with httpx2.AsyncClient(
        transport=transport, follow_redirects=False, timeout=ATTEMPT_SECONDS
    ) as http:
        yield Webhook(config, http)


def _secret(text: str) -> bytes:
    """The bytes of a secret."""
    if not text.startswith(SECRET_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        return b""


def _moment(moment: object) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"
