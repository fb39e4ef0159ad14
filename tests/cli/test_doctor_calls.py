"""`waybill doctor`: how the last calls to a vendor ended, which its free question does not tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import uuid4

import psycopg
import pytest

from tests.conftest import MigratedPostgres
from waybill.cli.checks import calls
from waybill.cli.checks.finding import Finding, State

# That no other test calls.
VENDOR = "vendor-of-doctor-calls"
_CALL = """
    insert into waybill_ledger.entries (entry_id, tenant, run_id, correlation_id, spend_key, attempt, state,
        kind, service, operation, vendor, model, unit, quantity, price_nano_usd_per_million,
        expected_nano_usd, reported_nano_usd, owner, trace_id, parent_span_id, step_span_id, held_at,
        expires_at, ended_at, end_reason)
    values (%(id)s::uuid, %(tenant)s, %(id)s::uuid, 'c', %(id)s::text, 1, %(state)s, %(kind)s, 'embedder',
        %(operation)s, %(vendor)s, 'm', 'token', 1, 0, 0, 0, 'o', '', '', '',
        clock_timestamp() - %(ago)s * interval '1 second', clock_timestamp(),
        clock_timestamp() - %(ago)s * interval '1 second', %(reason)s)
"""


@pytest.fixture
def connection(database: MigratedPostgres) -> Iterator[psycopg.Connection]:
    """A ledger; what is written is rolled back."""
    with psycopg.connect(database.admin_url) as connection:
        yield connection
        connection.rollback()


def called(
    connection: psycopg.Connection,
    reasons: Sequence[str],
    kind: str = "REAL",
    operation: str = "embed",
    ago: int = 60,
) -> None:
    """One call a second, from so many seconds ago; an empty reason is one that was charged."""
    for number, reason in enumerate(reasons):
        facts = {
            "id": str(uuid4()), "vendor": VENDOR, "tenant": f"tenant-{number % 2}",
            "state": "RELEASED" if reason else "SETTLED", "kind": kind, "operation": operation,
            "ago": ago - number, "reason": reason,
        }  # fmt: skip
        connection.execute(_CALL, facts)


def of_vendor(connection: psycopg.Connection) -> list[Finding]:
    return [one for one in calls.findings(connection) if one.check == f"{VENDOR} calls"]


def found(connection: psycopg.Connection) -> Finding:
    [one] = of_vendor(connection)
    return one


def test_an_account_at_its_limit_is_told_by_its_first_call(connection: psycopg.Connection) -> None:
    called(connection, ["", "", "VENDOR_QUOTA_EXHAUSTED"])
    one = found(connection)
    assert one.state is State.FAILED
    assert "the last 1 of 3" in one.detail
    assert "VENDOR_QUOTA_EXHAUSTED" in one.detail
    assert "waybill retry" in one.mend


@pytest.mark.parametrize("reason", ["VENDOR_RATE_LIMITED", "VENDOR_ERROR", "VENDOR_TIMEOUT"])
def test_calls_of_all_tenants_that_came_to_nothing_are_told(
    connection: psycopg.Connection, reason: str
) -> None:
    called(connection, ["", reason, reason, reason])
    one = found(connection)
    assert (one.state, f"the last 3 of 4 in ten minutes came to nothing: {reason}") == (
        State.FAILED, one.detail,
    )  # fmt: skip
    assert "WAITING_ON_VENDOR" in one.mend


@pytest.mark.parametrize(
    "reasons",
    [
        ["VENDOR_ERROR", "VENDOR_ERROR", "VENDOR_ERROR", ""],
        ["VENDOR_QUOTA_EXHAUSTED", ""],
        ["", "VENDOR_ERROR", "VENDOR_ERROR"],
        ["VENDOR_ERROR", "VENDOR_ERROR", "VENDOR_REFUSED_TEXTS"],
    ],
    ids=["answered-since", "credit-since", "two-are-an-accident", "a-document-is-refused"],
)
def test_a_vendor_that_answers_is_well(connection: psycopg.Connection, reasons: Sequence[str]) -> None:
    called(connection, reasons)
    assert found(connection).state is State.OK


def test_what_is_old_or_bought_from_nobody_is_not_told(connection: psycopg.Connection) -> None:
    called(connection, ["VENDOR_QUOTA_EXHAUSTED"], ago=700)
    called(connection, [""], kind="LOCAL")
    called(connection, [""], operation="egress")
    assert not of_vendor(connection)
