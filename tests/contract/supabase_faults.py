"""What storage makes of each fault of Supabase's catalogue; `docs/faults.md` is made of this."""

from __future__ import annotations

from dataclasses import dataclass

from tests.waiting import PATIENCE_SECONDS

DEADLINE_SECONDS = 15.0
# Calls of storage: an object is replaced in one request, or in parts; it is read; two replace it at once; it
# is listed; links to it are made; what is no object any more is swept.
PUT, LARGE, GET, RACE, LIST, LINK, SWEEP, HEALTH = (
    "put", "large put", "get", "two puts", "list", "link", "sweep", "health",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One fault and its outcome.

    Attributes:
        fault: As the simulator takes it; of Postgres, `name:SQLSTATE`.
        what: In words.
        call: What is asked of storage meanwhile.
        answer: Code and reason that the caller gets; empty where it gets what it asked for.
        wire: Requests that reached the vendor meanwhile; None where time decides.
        spare_key: A second key is at hand.
    """

    fault: str
    what: str
    call: str = PUT
    answer: str = ""
    wire: int | None = None
    spare_key: bool = False

    @property
    def name(self) -> str:
        """F1 … F37."""
        return self.fault.partition(":")[0].partition("/")[0]


def attempt_seconds(row: Row) -> float:
    """What an attempt may take: little where time alone ends it, else all that a slow machine needs."""
    return 1.0 if row.name in ("F3", "F4", "F26") else PATIENCE_SECONDS


REFUSED = "UNAUTHENTICATED VENDOR_KEY_REFUSED"
INVALID = "ABORTED VENDOR_ANSWER_INVALID"
ERROR = "UNAVAILABLE VENDOR_ERROR"
ELSEWHERE = "ABORTED VENDOR_REDIRECTED"

ROWS = [
    Row("F1", "connection refused", PUT, "UNAVAILABLE VENDOR_UNREACHABLE", 0),
    Row("F1", "connection refused", GET, "UNAVAILABLE VENDOR_UNREACHABLE", 0),
    Row("F1/0.3:n=1", "an outage of 0.3 s begins"),
    Row("F2:times=1", "accepted, then closed", PUT, wire=3),
    Row("F2:times=1", "accepted, then closed", LARGE, wire=5),
    Row("F2:times=1", "accepted, then closed", GET, wire=2),
    Row("F2", "accepted, then closed, each time", PUT, "UNAVAILABLE VENDOR_CONNECTION_LOST", 6),
    Row("F3:times=1", "no answer: read timeout", PUT, wire=3),
    Row("F3:op=tus.upload.patch:times=1", "no answer to a part", LARGE),
    Row("F3:times=1", "no answer", GET, wire=2),
    Row("F4:times=1", "silence in mid-download: goes on at that byte", GET, wire=2),
    Row("F5:times=1", "half a download: goes on at that byte", GET, wire=2),
    Row("F6:times=1", "reset in mid-upload", PUT, wire=3),
    Row("F6", "reset in each upload", PUT, "UNAVAILABLE VENDOR_CONNECTION_LOST", 6),
    Row("F7:times=1", "stored, its reply lost: sent again to the same place", PUT, wire=3),
    Row("F7:op=tus.create:times=1", "an upload began, its reply lost: another begins", LARGE, wire=5),
    Row("F7:op=object.sign:times=1", "signed, its reply lost: signed again", LINK),
    Row("F7:op=object.remove:times=1", "deleted, its reply lost: found gone", SWEEP),
    Row("F8:times=2", "429 SlowDown, twice", PUT, wire=4),
    Row("F8", "429 for ever", PUT, "UNAVAILABLE VENDOR_RATE_LIMITED"),
    Row("F9:times=2", "500, twice", PUT, wire=4),
    Row("F9", "500 for ever", PUT, ERROR, 6),
    Row("F9", "500 for ever", GET, ERROR, 6),
    Row("F10/502:times=1", "502 as HTML", PUT, wire=3),
    Row("F10/503:times=1", "503 as HTML", LARGE, wire=5),
    Row("F10/504:times=1", "504 as HTML", GET, wire=2),
    Row("F11:times=1", "544, the database's time-out", PUT, wire=3),
    Row("F12", "401 of the gateway, no other key", PUT, REFUSED, 1),
    Row("F12/html", "401 as HTML", GET, REFUSED, 1),
    Row("F12:times=1", "401, another key is at hand", PUT, wire=3, spare_key=True),
    Row("F13:times=1", "the JWT expires, another key is at hand", LARGE, wire=5, spare_key=True),
    Row("F13", "the JWT has expired", GET, REFUSED, 1),
    Row("F14", "the key is revoked, as the gateway says it", GET, REFUSED, 1),
    Row("F14/bare", "the key is no JWT, as a bare server says it", PUT, REFUSED, 1),
    Row("F15", "413 of the gateway, early", PUT, "RESOURCE_EXHAUSTED OBJECT_TOO_LARGE", 1),
    Row("F16:times=2", "423, the upload is locked, twice", LARGE),
    Row("F17:times=1", "a part stored, its reply lost: asked by HEAD", LARGE, wire=5),
    Row(
        "F18:op=tus.upload.patch",
        "the upload is gone: its parts get 404",
        LARGE,
        "UNAVAILABLE VENDOR_NOT_FOUND",
    ),
    Row("F19", "two create at once, both told 200: our row decides", RACE),
    Row("F20:times=1", "HTML under JSON in answer to an upload: not read", PUT, wire=2),
    Row("F20:op=object.info:times=1", "HTML under JSON, once", PUT, wire=3),
    Row("F20:op=object.info", "HTML under JSON", PUT, INVALID, 3),
    Row("F20/empty:op=object.info", "an empty body", PUT, INVALID, 3),
    Row("F20/null:op=object.sign", "null for a link", LINK, INVALID),
    Row("F21/etag", "wrong ETag: not a checksum, not asked", PUT, wire=2),
    Row("F21/size:op=object.info", "the size is not what was sent", PUT, INVALID),
    Row("F21/size:op=object.read", "a byte too few, under a length that fits it", GET, INVALID, 2),
    Row("F22", "a page of a list is wrong: our rows are listed", LIST, wire=0),
    Row("F23:times=1", "half of a deletion done: the rest is deleted later", SWEEP),
    Row("F24", "a redirect to a foreign host", PUT, ELSEWHERE, 2),
    Row("F24", "a redirect to a foreign host", LARGE, ELSEWHERE),
    Row("F24", "a redirect to a foreign host", GET, ELSEWHERE, 2),
    Row("F24:op=object.sign", "a redirect to a foreign host", LINK, ELSEWHERE),
    Row("F25", "the clock that looks at a link is a day ahead", LINK, "HTTP 400"),
    Row("F26", "a byte every 100 ms", GET, "UNAVAILABLE VENDOR_TIMEOUT", 1),
    Row("F27", "/health says 200 for what is not well: not asked", HEALTH, wire=1),
    Row("F28:times=1", "Location is at a foreign host: only its last segment counts", LARGE, wire=4),
]
# Raised where the row of the new object takes the place of the old one.
POSTGRES_ROWS = [
    Row("F29:57P01", "the connection is terminated, once"),
    Row("F30:53300", "too many connections, once"),
    Row("F31:25006", "read-only", PUT, "UNAVAILABLE DATABASE_READ_ONLY"),
    Row("F32:57014", "statement timeout, once"),
    Row("F32:57014", "statement timeout, each time", PUT, "UNAVAILABLE DATABASE_TIMEOUT"),
    Row("F33:40001", "serialization failure, once"),
    Row("F33:40P01", "deadlock, once"),
    Row("F37:42501", "row-level security refuses", PUT, "FAILED_PRECONDITION DATABASE_UNFIT"),
]


def section() -> list[str]:
    """Supabase's part of `docs/faults.md`."""
    head = ["| fault | what | the call | the caller gets | requests on the wire |", "|---|---|---|---|---|"]
    return [
        "## Supabase Storage",
        "",
        "`test_supabase_faults.py` runs each row over a key that has an object. In each, once the fault is",
        "over: the key has the old object whole where the call failed, and the new one whole where it did",
        "not; a reader gets right bytes, or an error before the last piece; no key reaches another host; the",
        f"sweep leaves the vendor with what our rows name. A call has {DEADLINE_SECONDS:g} s.",
        "",
        *head,
        *map(_line, ROWS),
        "",
        "\\* as many as time or luck allows.",
        "",
        "Of Postgres, where the new object's row takes the place of the old one; the bytes are at the vendor",
        "by then, and are not sent again. F34 to F36 are no matter of objects; the next part has them.",
        "",
        *head,
        *map(_line, POSTGRES_ROWS),
        "",
    ]


def _line(row: Row) -> str:
    wire = "*" if row.wire is None else str(row.wire)
    return (
        f"| {' | '.join([f'`{row.fault}`', row.what, row.call, row.answer or 'what it asked for', wire])} |"
    )
