"""A vendor's API keys: which one to send, also while they change. They are never shown."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from functools import partial
from pathlib import Path

import structlog

from waybill.runtime.audit import Audit

log = structlog.get_logger()


class Keys:
    """One key, or two while they are rotated; from the environment, or from a file that may change.

    The file holds a key a line, the current one first. It is looked at before each request. A file that is
    missing or empty for a moment, or holds what is no key, leaves the keys as they were.

    Args:
        given: From the environment.
        file: Read in its stead.
    """

    def __init__(self, given: Sequence[str], file: Path | None = None) -> None:
        self._keys = [key for key in given if key]
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._refused: set[str] = set()
        self._audit: Audit | None = None
        self._vendor = ""

    def __repr__(self) -> str:
        return f"Keys({len(self._keys)} of them, not shown)"

    def audited(self, audit: Audit, vendor: str) -> None:
        """Tells the audit from now on when the file has other keys."""
        self._audit, self._vendor = audit, vendor

    def current(self) -> str:
        """The first key that was not refused; the first where all were; empty where there is none."""
        self._look()
        return next((key for key in self._keys if key not in self._refused), next(iter(self._keys), ""))

    def all(self) -> Sequence[str]:
        """Every key, the current one first."""
        self._look()
        return self._keys

    def refuse(self, key: str) -> bool:
        """Notes that the vendor refused a key; says whether another is to be tried."""
        self._refused.add(key)
        self._look(again=True)
        return any(key not in self._refused for key in self._keys)

    def accept(self, key: str) -> None:
        """Notes that the vendor took a key."""
        self._refused.discard(key)

    def _look(self, again: bool = False) -> None:
        if self._file is None:
            return
        try:
            found = self._file.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen == self._seen and not again:
                return
            # Some editors put a mark of the encoding first.
            lines = self._file.read_text("utf-8-sig").split()
        except (OSError, UnicodeDecodeError) as error:
            log.warning("the key file cannot be read", error=type(error).__name__)
            return
        if not all(key.isascii() and key.isprintable() for key in lines):
            # No header takes it: each call would break before it is sent.
            log.warning("the key file holds what is no key")
            return
        first, self._seen = self._seen is None, seen
        if lines and lines != self._keys:
            self._keys, self._refused = lines, set()
            log.info("keys were read again", count=len(lines))
            if self._audit is not None and not first:
                detail = {"keys": str(len(lines))}
                note = partial(self._audit.note, "keys.reload", self._vendor, detail=detail, operators=True)
                # Whose request has found it is chance.
                Context().run(note)
