"""Who may call: every key with the vendor's prefix, or exactly those of a file. Keys are kept as hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from waybill.sim.limits import Limits
from waybill.sim.wire import Request


@dataclass(frozen=True)
class Account:
    """Whom a key belongs to; an empty organization or project matches whatever a request names.

    Args:
        limits: The project's own, where they differ from the simulator's.
        traits: What else the vendor knows of a key, such as its plan.
    """

    fingerprint: str
    organization: str = ""
    project: str = ""
    limits: Limits | None = None
    traits: Mapping[str, str] = field(default_factory=dict)

    def acting_in(
        self, named: Mapping[str, str], shared: Mapping[str, str], refused: Callable[[str], Exception]
    ) -> Account:
        """The account with the organization and project that a request acts in.

        Args:
            named: What the request says of each, if anything.
            shared: Of keys that have none, where the request says nothing either.
            refused: The error where a request names another than the key's.
        """
        own = {"organization": self.organization, "project": self.project}
        for name, mine in own.items():
            if mine and named.get(name, mine) not in ("", mine):
                raise refused(name)
        acting = {name: mine or named.get(name) or shared.get(name, "") for name, mine in own.items()}
        return replace(self, organization=acting["organization"], project=acting["project"])


class Keys:
    """Good and revoked keys.

    Args:
        prefix: What every good key begins with, while there is no file; there may be several.
        file: One key a line, behind it `organization=… project=…` where a request must match them, and the
            project's `requests_per_minute=… tokens_per_minute=…`, and the vendor's traits.
        traits: Their names, and the values that each may have.
    """

    def __init__(
        self,
        prefix: str | tuple[str, ...],
        file: Path | None = None,
        traits: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._traits = traits or {}
        self._prefix = prefix if file is None else None
        self._accounts: dict[str, Account] = {}
        self._revoked: set[str] = set()
        for line in file.read_text().splitlines() if file else ():
            if line.strip() and not line.startswith("#"):
                key, *rest = line.split()
                self.add(key, **dict(word.split("=", 1) for word in rest))

    def add(
        self,
        key: str,
        organization: str = "",
        project: str = "",
        requests_per_minute: int | str = Limits.requests_per_minute,
        tokens_per_minute: int | str = Limits.tokens_per_minute,
        **traits: str,
    ) -> None:
        """Makes a key good, also one that was revoked.

        Raises:
            ValueError: This vendor's keys have no such trait, or not with this value.
        """
        for name, value in traits.items():
            if value not in self._traits.get(name, ()):
                raise ValueError(f"a key has no {name}={value}")
        digest = _digest(key)
        self._revoked.discard(digest)
        limits = Limits(int(requests_per_minute), int(tokens_per_minute))
        own = None if limits == Limits() else limits
        self._accounts[digest] = Account(digest[:12], organization, project, own, traits)

    def revoke(self, key: str) -> None:
        """Makes a key bad."""
        self._revoked.add(_digest(key))

    def find(self, key: str) -> Account | None:
        """Whose key it is; None for a bad one."""
        digest = _digest(key)
        if digest in self._revoked:
            return None
        by_prefix = self._prefix is not None and key.startswith(self._prefix)
        return self._accounts.get(digest) or (Account(digest[:12]) if by_prefix else None)


def bearer(request: Request) -> str:
    """The key that a request sends; empty where it sends none."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def fingerprint(key: str) -> str:
    """What stands for a key in the journal."""
    return _digest(key)[:12] if key else ""


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
