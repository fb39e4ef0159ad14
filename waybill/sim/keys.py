"""Who may call: every key with the vendor's prefix, or exactly those of a file. Keys are kept as hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
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


class Keys:
    """Good and revoked keys.

    Args:
        prefix: What every good key begins with, while there is no file.
        file: One key a line, behind it `organization=… project=…` where a request must match them, and the
            project's `requests_per_minute=… tokens_per_minute=…`, and the vendor's traits.
        traits: Their names.
    """

    def __init__(self, prefix: str, file: Path | None = None, traits: Collection[str] = ()) -> None:
        self._traits = traits
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
            TypeError: This vendor's keys have no such trait.
        """
        if unknown := sorted(set(traits) - set(self._traits)):
            raise TypeError(f"a key has no {', '.join(unknown)}")
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
