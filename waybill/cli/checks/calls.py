"""How the last calls to each vendor ended, by the ledger: one may answer what is free, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from waybill.cli.checks.finding import Finding, State

# So many in a row are no accident. An account at its limit is none the first time.
MANY = 3
_AT_LIMIT = "VENDOR_QUOTA_EXHAUSTED"
_GOES_ON = "runs go on by themselves once it serves: `waybill runs --state WAITING_ON_VENDOR`"
_TROUBLE = f"look at the vendor's status page; {_GOES_ON}"
# What a vendor does to every call. A document that it refuses, or a key, is told elsewhere.
MENDS = {
    _AT_LIMIT: "raise the account's limit or its credit at the vendor; then `waybill retry` what FAILED",
    "VENDOR_RATE_LIMITED": f"ask the vendor for a higher limit, and whether others use the key; {_GOES_ON}",
    "VENDOR_ERROR": _TROUBLE,
    "VENDOR_TIMEOUT": _TROUBLE,
    "VENDOR_UNREACHABLE": _TROUBLE,
    "VENDOR_CONNECTION_LOST": _TROUBLE,
    "VENDOR_ANSWER_INVALID": _TROUBLE,
}
_LAST = """
    with ended as (
        select vendor, ended_at, end_reason, end_reason = any(%(ill)s) as in_vain
        from waybill_ledger.entries
        where held_at > clock_timestamp() - interval '10 minutes' and ended_at is not null
          and kind <> 'LOCAL' and operation <> 'egress'
    ), seen as (
        select *, max(ended_at) filter (where not in_vain) over (partition by vendor) as served_at from ended
    )
    select vendor, count(*), count(*) filter (where in_vain and ended_at > coalesce(served_at, '-infinity')),
        (array_agg(end_reason order by ended_at desc))[1]
    from seen group by vendor order by vendor
"""


def findings(connection: psycopg.Connection) -> Iterator[Finding]:
    """A row for each vendor that was called in the last ten minutes. Raises psycopg.Error.

    Args:
        connection: Of a role that sees the ledger's entries of every tenant.
    """
    for vendor, calls, in_vain, reason in connection.execute(_LAST, {"ill": list(MENDS)}).fetchall():
        yield _found(f"{vendor} calls", calls, in_vain, reason)


def _found(check: str, calls: int, in_vain: int, reason: str) -> Finding:
    if not in_vain:
        return Finding(check, State.OK, f"{calls} in the last ten minutes; the last one was answered")
    detail = f"the last {in_vain} of {calls} in ten minutes came to nothing: {reason}"
    if in_vain >= MANY or reason == _AT_LIMIT:
        return Finding(check, State.FAILED, detail, MENDS[reason])
    return Finding(check, State.OK, detail)
