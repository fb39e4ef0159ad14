"""A simulator in another process or thread, by its control port: what the pytest fixtures hand out.

It reads like the simulator itself: `faults.add`, `faults.heal`, `clock.advance`, `keys.add`, `keys.revoke`,
`journal`, `invoice`.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from waybill.sim.journal import Entry

# A simulator on a busy machine is slow, and not away.
TIMEOUT_SECONDS = 60.0
_Ask = Callable[..., Any]


@dataclass(frozen=True)
class Total:
    """An invoice as it stands: its sum, and units by item."""

    total_nano_usd: int
    quantities: Mapping[str, int]


class RemoteFaults:
    """Breaks and heals; a fault is written as in `waybill.sim.faults`."""

    def __init__(self, ask: _Ask) -> None:
        self._ask = ask

    def add(self, texts: str) -> None:
        """Arms faults; raises ValueError where one cannot be read."""
        self._ask("POST", "/faults", fault=texts)

    def heal(self, name: str = "") -> None:
        """Disarms all faults, or those of one name."""
        self._ask("POST", "/heal", name=name)


class RemoteClock:
    """The vendor's time."""

    def __init__(self, ask: _Ask) -> None:
        self._ask = ask

    def advance(self, seconds: float) -> None:
        """Moves it forward."""
        self._ask("POST", "/clock", advance_seconds=seconds)


class RemoteKeys:
    """Who may call."""

    def __init__(self, ask: _Ask) -> None:
        self._ask = ask

    def add(self, key: str, **account: str) -> None:
        """Makes a key good; its account as in a key file."""
        self._ask("POST", "/keys", add=key, **account)

    def revoke(self, key: str) -> None:
        """Makes a key bad."""
        self._ask("POST", "/keys", revoke=key)


class Remote:
    """A running simulator.

    Args:
        base_url: The vendor's address, for the client under test.
        control_url: The simulator's own.
        key: An API key that is good there.
    """

    def __init__(self, base_url: str, control_url: str, key: str) -> None:
        self.base_url, self.control_url, self.key = base_url, control_url, key
        self.faults = RemoteFaults(self._ask)
        self.clock = RemoteClock(self._ask)
        self.keys = RemoteKeys(self._ask)

    def delay(self, seconds: float) -> None:
        """How long each good answer takes from now on."""
        self.change("/latency", seconds=seconds)

    def limit(self, **per_minute: int) -> None:
        """Changes the rate limits: `requests_per_minute`, `tokens_per_minute`."""
        self.change("/limits", **per_minute)

    def change(self, path: str, **values: object) -> Any:
        """Changes what the control port has at a path, the vendor's own too; returns its answer."""
        return self._ask("POST", path, **values)

    @property
    def journal(self) -> list[Entry]:
        """Every request so far."""
        return [Entry(**entry) for entry in self._ask("GET", "/journal")["entries"]]

    @property
    def invoice(self) -> Total:
        """What the vendor will ask for."""
        answer = self._ask("GET", "/invoice")
        return Total(answer["total_nano_usd"], answer["quantities"])

    @property
    def webhooks(self) -> list[Mapping[str, Any]]:
        """Every attempt at a webhook; see `outbox.Attempt`."""
        attempts: list[Mapping[str, Any]] = self._ask("GET", "/webhooks")["attempts"]
        return attempts

    def _ask(self, method: str, path: str, **body: object) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.control_url).netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise ValueError(answer["error"])
        return answer
