"""What a caller is told of each fault of Postgres; a part of `docs/faults.md` is made of this."""

from __future__ import annotations

from dataclasses import dataclass

UNAVAILABLE = "UNAVAILABLE DATABASE_UNAVAILABLE"
UNFIT = "FAILED_PRECONDITION DATABASE_UNFIT"


@dataclass(frozen=True)
class Row:
    """One fault and its outcome.

    Attributes:
        fault: F29 … F37.
        code: SQLSTATE.
        what: In words.
        statement: Brings it about, in a transaction of a service's role on behalf of a tenant.
        answer: Code and reason that the caller gets.
    """

    fault: str
    code: str
    what: str
    statement: str
    answer: str


ROWS = (
    Row("F29", "57P01", "the server ends the session", "select pg_terminate_backend(pg_backend_pid())",
        UNAVAILABLE),
    Row("F30", "53300", "no connection is left", "select 1", UNAVAILABLE),
    Row("F31", "25006", "the server takes no writes", "set transaction read only; delete from documents",
        "UNAVAILABLE DATABASE_READ_ONLY"),
    Row("F32", "57014", "the server's statement_timeout",
        "set local statement_timeout = 10; select pg_sleep(60)", "UNAVAILABLE DATABASE_TIMEOUT"),
    Row("F33", "40001", "a serialization failure",
        "do $$ begin raise exception using errcode = '40001'; end $$", "UNAVAILABLE DATABASE_CONFLICT"),
    Row("F33", "40P01", "a deadlock",
        "do $$ begin raise exception using errcode = '40P01'; end $$", "UNAVAILABLE DATABASE_CONFLICT"),
    Row("F34", "42P05", "a prepared statement of another client's",
        "prepare it as select 1; prepare it as select 1", UNFIT),
    Row("F34", "26000", "a prepared statement that is gone", "execute nothing", UNFIT),
    Row("F36", "22000", "two vectors of different dimensions",
        "select '[1,2]'::halfvec <=> '[1]'::halfvec", UNFIT),
    Row("F37", "42501", "a row of another tenant",
        "insert into documents (tenant, collection, document_key) values ('another', 'c', 'k')", UNFIT),
)  # fmt: skip


def section() -> list[str]:
    """Postgres' part of `docs/faults.md`."""
    lines = [
        "## Postgres",
        "",
        "In every row (`tests/contract/test_postgres_faults.py`, on a real server) the next transaction",
        "works. A run waits until what is UNAVAILABLE is back. A pgvector that is missing or older than",
        "0.8 (F35) is told when the stack starts, as FAILED_PRECONDITION DATABASE_UNFIT.",
        "",
        "| fault | SQLSTATE | what | the caller gets |",
        "|---|---|---|---|",
    ]
    cells = ([f"`{row.fault}`", row.code, row.what, row.answer] for row in ROWS)
    return [*lines, *(f"| {' | '.join(cell)} |" for cell in cells), ""]
