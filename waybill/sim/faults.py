"""Which request is broken, and how: by its number, its logical call and attempt, or a seeded probability.

A fault reads `NAME[/VARIANT][:TRIGGER…]`, several are joined by commas: `429:0.1,503:n=7,LOST/late:times=2`.
NAME is the vendor catalogue's or an HTTP status. Triggers, all of which must hold:
`0.1` or `p=0.1` this share of the requests, drawn from the seed, the logical call and the attempt, so that
the order of arrival changes nothing · `n=7` the 7th request since it was armed, once · `call=HEX` a logical
call, by the first digits of its sha256 · `attempt=2` its second attempt · `id=ID` a request whose path names
this · `times=3` healed after three · `op=files` another operation than the catalogue's, `op=*` any.
Without a trigger it holds until healed.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One way to break, and when; see the module for its text."""

    text: str
    name: str
    variant: str = ""
    probability: float | None = None
    nth: int | None = None
    call: str = ""
    attempt: int | None = None
    times: int | None = None
    operation: str = ""
    named: str = ""

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Reads one fault.

        Raises:
            ValueError: It is not written as the module says.
        """
        what, *triggers = text.strip().split(":")
        name, _, variant = what.partition("/")
        fields = dict(_trigger(trigger) for trigger in triggers)
        try:
            return cls(
                text=text.strip(),
                name=name,
                variant=variant,
                probability=float(fields.pop("p")) if "p" in fields else None,
                nth=int(fields.pop("n")) if "n" in fields else None,
                call=fields.pop("call", ""),
                attempt=int(fields.pop("attempt")) if "attempt" in fields else None,
                times=int(fields.pop("times")) if "times" in fields else None,
                operation=fields.pop("op", ""),
                named=fields.pop("id", ""),
            )
        finally:
            if fields:
                raise ValueError(f"{text!r}: no trigger is called {', '.join(fields)}")

    @property
    def standing(self) -> bool:
        """It has no trigger, so it holds until it is healed."""
        triggers = (self.probability, self.nth, self.attempt, self.times)
        return triggers == (None, None, None, None) and not self.call and not self.named


def _trigger(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return (name, value) if equals else ("p", name)


class _Armed:
    """A fault with what it has seen so far."""

    def __init__(self, fault: Fault, scope: str) -> None:
        self.fault = fault
        self._scope = fault.operation or scope
        self._left = 1 if fault.nth is not None else fault.times
        self._seen = 0

    def fires(self, operation: str, call: str, names: Collection[str], attempt: int, seed: int) -> bool:
        """Counts this request, and says whether it is the one."""
        fault = self.fault
        if self._left == 0 or not self._covers(operation) or not call.startswith(fault.call):
            return False
        if fault.named and fault.named not in names:
            return False
        self._seen += 1
        if fault.attempt not in (None, attempt) or fault.nth not in (None, self._seen):
            return False
        if fault.probability is not None and _draw(seed, fault.text, call, attempt) >= fault.probability:
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def _covers(self, operation: str) -> bool:
        return self._scope == "*" or f"{operation}.".startswith(f"{self._scope}.")


def _draw(seed: int, *what: object) -> float:
    """A number in [0, 1) that depends on its arguments alone."""
    digest = hashlib.sha256(repr((seed, *what)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class Faults:
    """The faults armed in one simulator.

    Args:
        seed: Fixes every probability.
        scopes: The vendor's catalogue: by name, the operation that it breaks.
        default_scope: The operation that an HTTP status breaks.
        changed: Told after each change.
    """

    def __init__(
        self, seed: int, scopes: Mapping[str, str], default_scope: str, changed: Callable[[], None]
    ) -> None:
        self._seed, self._scopes, self._default_scope, self._changed = seed, scopes, default_scope, changed
        self._armed: list[_Armed] = []
        self._attempts: Counter[str] = Counter()

    def add(self, texts: str) -> None:
        """Arms faults.

        Raises:
            ValueError: One is unknown or not written as the module says; then none is armed.
        """
        faults = [Fault.parse(text) for text in texts.split(",")]
        self._armed += [_Armed(fault, self._scope(fault.name)) for fault in faults]
        self._changed()

    def heal(self, name: str = "") -> None:
        """Disarms all faults, or those of one name."""
        self._armed = [armed for armed in self._armed if name and armed.fault.name != name]
        self._changed()

    def standing(self, name: str) -> bool:
        """Whether a fault of this name holds until healed."""
        return any(armed.fault.name == name and armed.fault.standing for armed in self._armed)

    def texts(self) -> list[str]:
        """The armed faults, as they were written."""
        return [armed.fault.text for armed in self._armed]

    def draw(self, operation: str, call: str, names: Collection[str] = ()) -> tuple[int, Fault | None]:
        """Counts one request: which attempt of its logical call it is, and the fault that breaks it.

        Args:
            names: What its path names.
        """
        self._attempts[call] += 1
        attempt = self._attempts[call]
        firing = [
            armed.fault for armed in self._armed if armed.fires(operation, call, names, attempt, self._seed)
        ]
        return attempt, firing[0] if firing else None

    def _scope(self, name: str) -> str:
        if re.fullmatch("[45][0-9]{2}", name):
            return self._default_scope
        if name not in self._scopes:
            raise ValueError(
                f"no fault is called {name!r}; there are {', '.join(self._scopes)} and HTTP statuses"
            )
        return self._scopes[name]
