"""What Postgres' error codes mean to a caller: the one table of them.

No text of Postgres' own goes on: it may hold a piece of a document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg_pool import PoolTimeout

from waybill.runtime.errors import InvalidRequest, Precondition, ServiceError, Unavailable

_LATER = "Repeat in a moment; `waybill status` shows it."


@dataclass(frozen=True, slots=True)
class Meaning:
    """What to tell of a code; `message` goes before the code's name."""

    kind: type[ServiceError]
    reason: str
    message: str
    what_to_do: str
    retry_after_seconds: float | None = None

    def told(self, name: str) -> ServiceError:
        """The error; `name` says which one of Postgres' it was."""
        message = f"{self.message} ({name}). {self.what_to_do}"
        return self.kind(self.reason, message, retry_after_seconds=self.retry_after_seconds)


AWAY = Meaning(Unavailable, "DATABASE_UNAVAILABLE", "The database does not answer", _LATER, 0.5)
FULL = Meaning(Unavailable, "DATABASE_UNAVAILABLE", "The database has no connection left", _LATER, 2.0)
_NO_DISK = Meaning(
    Unavailable, "DATABASE_UNAVAILABLE", "The database's disk is full", "Make room there; then repeat.", 5.0
)
_READ_ONLY = Meaning(
    Unavailable,
    "DATABASE_READ_ONLY",
    "The database takes no writes now",
    "Some hosts do that where the disk is full: make room there; then repeat.",
    5.0,
)
_SLOW = Meaning(
    Unavailable,
    "DATABASE_TIMEOUT",
    "The database ended a statement that took too long",
    "Repeat in a moment; where it stays so, raise the server's statement_timeout.",
    1.0,
)
_MET = Meaning(
    Unavailable,
    "DATABASE_CONFLICT",
    "Two changes met in the database, and this one gave way",
    "Repeat it.",
    0.1,
)
_POOLED = Meaning(
    Precondition,
    "DATABASE_UNFIT",
    "A pooler in transaction mode stands before the database",
    "Connect directly, or by the session pooler.",
)
_REFUSED = Meaning(
    Precondition,
    "DATABASE_UNFIT",
    "The database refuses this to the service's role",
    "`waybill migrate` gives it what it needs.",
)
_MISFIT = Meaning(
    Precondition,
    "DATABASE_UNFIT",
    "A vector has another dimension than the column or index that it meets",
    "`waybill migrate` makes those of the known spaces.",
)
_VALUE = Meaning(
    InvalidRequest,
    "INVALID_REQUEST",
    "A value cannot be stored",
    "A text may hold no NUL character, and a number at most 63 bits; change the request.",
)

# By code, else by its class: the first two characters. What is not here is a defect of ours.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
MEANINGS: Mapping[str, Meaning] = {
    "08": AWAY,
    "22000": _MISFIT,  # pgvector
    "22001": _VALUE,
    "22003": _VALUE,
    "22007": _VALUE,
    "22008": _VALUE,
    "22021": _VALUE,
    "22P02": _VALUE,
    "22P03": _VALUE,
    "22P05": _VALUE,
    "25006": _READ_ONLY,
    "25P03": AWAY,  # a transaction that was idle too long; the session is ended
    "26000": _POOLED,
    "40001": _MET,
    "40P01": _MET,
    "42501": _REFUSED,
    "42P05": _POOLED,
    "53": AWAY,
    "53100": _NO_DISK,
    "53300": FULL,
    "55P03": _SLOW,
    "57": AWAY,
    "57014": _SLOW,
    "58": AWAY,
    "XX": AWAY,
}
_NO_ROOM = re.compile("too many|connection slots|max clients", re.IGNORECASE)


def told(error: psycopg.Error) -> ServiceError | None:
    """What a caller is told of an error; None where it is a defect of ours, which travels as it is."""
    code = error.sqlstate
    if code is None:  # of psycopg itself
        meaning = _VALUE if isinstance(error, psycopg.DataError) else None
        meaning = AWAY if isinstance(error, psycopg.OperationalError) else meaning
    else:
        meaning = MEANINGS.get(code) or MEANINGS.get(code[:2])
    return meaning.told(type(error).__name__) if meaning else None


def not_let_in(error: PoolTimeout, why: str) -> ServiceError:
    """The same where no connection could be made.

    Args:
        error: Of the pool, which does not say why.
        why: What the last attempt was told, as text: there is no code before a session is there.
    """
    return (FULL if _NO_ROOM.search(why) else AWAY).told(type(error).__name__)
