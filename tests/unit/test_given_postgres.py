"""A Postgres of the user's: what its URL says, what is in its way, and what its errors mean."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from waybill.runtime import sqlstates
from waybill.runtime.errors import InvalidRequest, Precondition, ServiceError, Unavailable
from waybill.stack import fitness
from waybill.stack.fitness import CONNECTIONS, CONNECTIONS_OF_A_ROLE
from waybill.stack.given_url import NOTICED, read
from waybill.stack.server_facts import Server

FIT = Server(
    role="postgres",
    version="17.4 (Debian)",
    makes_roles=True,
    superuser=False,
    database="postgres",
    makes_schemas=True,
    standby=False,
    read_only=False,
    connections_limit=60,
    connections_used=5,
    database_limit=-1,
    role_limit=-1,
    foreign_roles=[],
    vector="0.8.0",
    vector_there="0.8.0",
    mark="",
    service_sessions=0,
    keeps_sessions=True,
)


def test_tls_goes_from_the_administrators_url_to_each_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project ca.crt").write_text("…")
    monkeypatch.chdir(tmp_path)  # services stand elsewhere
    given, admin_url = read(
        "postgresql://boss:p%40ss@db.example.com/theirs?sslmode=verify-full&sslrootcert=project%20ca.crt"
        "&channel_binding=require&application_name=psql"
    )
    tls = {
        **NOTICED,
        "host": "db.example.com",
        "port": "5432",
        "dbname": "theirs",
        "sslmode": "verify-full",
        "sslrootcert": str(tmp_path / "project ca.crt"),
        "channel_binding": "require",
    }
    assert conninfo_to_dict(admin_url) == {**tls, "user": "boss", "password": "p@ss"}
    assert conninfo_to_dict(given.url("waybill_storage", "x/y")) == {
        **tls, "user": "waybill_storage", "password": "x/y",
    }  # fmt: skip
    assert "p@ss" not in repr(given)


@pytest.mark.parametrize(
    ("place", "address"),
    [("[2001:db8::1]:5433/a", "[2001:db8::1]:5433"), ("/a?host=/run/postgresql", "/run/postgresql:5432")],
)
def test_an_address_of_six_groups_and_a_sockets_folder_are_places_too(place: str, address: str) -> None:
    given, admin_url = read(f"postgresql://boss:x@{place}")
    assert given.address == address
    assert read(admin_url) == (given, admin_url)


def test_a_session_pooler_gets_its_project_behind_each_roles_name() -> None:
    given, _ = read("postgresql://postgres.abcd:x@eu.pooler.supabase.com:5432/postgres")
    role = replace(given, suffix=".abcd").url("waybill_storage", "x")
    assert conninfo_to_dict(role)["user"] == "waybill_storage.abcd"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://u:x@h:6543/d", r"6543, that of a transaction pooler.*session pooler"),
        ("postgresql://u:x@h/d?sslmode=verify-full&sslrootcert=/no/ca.crt", r"/no/ca\.crt.*No such file"),
        ("postgresql:///d", "names no host; it names no user"),
        ("postgresql://u:x@a,b/d", "several hosts"),
        ("postgresql://u:x@h/d?options=-csearch_path%3Dpublic", "search_path"),
        ("postgresql://u:x@h/d?sslpassword=secret", "holds sslpassword"),
        ("postgresql://u:x@h/d?pgbouncer=true", "parameter that Postgres does not know"),
        ("postgresql://u:%zz-secret@h/d", "percent-encoded"),
    ],
)
def test_a_url_that_cannot_work_is_told_before_anybody_connects(url: str, told: str) -> None:
    with pytest.raises(Precondition, match=f"(?s)DATABASE_UNFIT: .*{told}") as refused:
        read(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (replace(FIT, keeps_sessions=False), "session pooler"),
        (replace(FIT, version="15.8"), "PostgreSQL 15.8. Upgrade"),
        (replace(FIT, standby=True, read_only=True), "standby. Name the primary"),
        (replace(FIT, read_only=True), "takes no writes"),
        (replace(FIT, makes_roles=False, role="Odd"), 'alter role "Odd" createrole'),
        (replace(FIT, makes_schemas=False), "grant create on database postgres to postgres"),
        (
            replace(FIT, foreign_roles=["waybill_ledger"]),
            "grant waybill_ledger to postgres with admin option",
        ),
        (replace(FIT, vector="0.7.4", vector_there="0.8.0"), "0.7.4.*alter extension vector update"),
        (replace(FIT, vector="0.7.4", vector_there="0.7.4"), "upgrade the server's pgvector"),
        (replace(FIT, vector="", vector_there="0.6.2"), "only 0.6.2"),
        (replace(FIT, vector="", vector_there=""), "does not have the extension vector"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_server_that_is_not_fit_is_told_with_what_mends_it(server: Server, told: str) -> None:
    (fault,) = fitness.faults(server)
    assert re.search(told, fault)


@pytest.mark.parametrize(
    "server",
    [FIT, replace(FIT, vector="", vector_there="0.10.1"), replace(FIT, version="18beta1", vector="1.0")],
)
def test_a_server_that_is_fit_has_nothing_in_the_way(server: Server) -> None:
    assert [*fitness.faults(server), *fitness.crowding(server)] == []


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (replace(FIT, connections_used=60 - CONNECTIONS + 1), f"36 of its 60 .* needs {CONNECTIONS}"),
        (replace(FIT, database_limit=CONNECTIONS - 1), "alter database postgres connection limit"),
        (replace(FIT, role_limit=CONNECTIONS_OF_A_ROLE - 1), "A service's role allows 9"),
    ],
)
def test_connections_that_find_no_room_are_told_with_figures(server: Server, told: str) -> None:
    (fault,) = fitness.crowding(server)
    assert re.search(told, fault)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (psycopg.errors.AdminShutdown, Unavailable, "DATABASE_UNAVAILABLE"),
        (psycopg.errors.CannotConnectNow, Unavailable, "DATABASE_UNAVAILABLE"),
        (psycopg.errors.TooManyConnections, Unavailable, "DATABASE_UNAVAILABLE"),
        (psycopg.errors.DiskFull, Unavailable, "DATABASE_UNAVAILABLE"),
        (psycopg.OperationalError, Unavailable, "DATABASE_UNAVAILABLE"),
        (psycopg.errors.ReadOnlySqlTransaction, Unavailable, "DATABASE_READ_ONLY"),
        (psycopg.errors.QueryCanceled, Unavailable, "DATABASE_TIMEOUT"),
        (psycopg.errors.SerializationFailure, Unavailable, "DATABASE_CONFLICT"),
        (psycopg.errors.DeadlockDetected, Unavailable, "DATABASE_CONFLICT"),
        (psycopg.errors.DuplicatePreparedStatement, Precondition, "DATABASE_UNFIT"),
        (psycopg.errors.InvalidSqlStatementName, Precondition, "DATABASE_UNFIT"),
        (psycopg.errors.InsufficientPrivilege, Precondition, "DATABASE_UNFIT"),
        (psycopg.errors.DataException, Precondition, "DATABASE_UNFIT"),
        (psycopg.errors.NumericValueOutOfRange, InvalidRequest, "INVALID_REQUEST"),
        (psycopg.errors.UntranslatableCharacter, InvalidRequest, "INVALID_REQUEST"),
        (psycopg.DataError, InvalidRequest, "INVALID_REQUEST"),
    ],
)
def test_each_code_of_postgres_has_one_meaning(
    error: type[psycopg.Error], kind: type[ServiceError], reason: str
) -> None:
    told = sqlstates.told(error("a row of somebody's"))
    assert type(told) is kind
    assert told.reason == reason
    assert "somebody" not in told.message
    assert error.__name__ in told.message


@pytest.mark.parametrize("error", [psycopg.errors.DivisionByZero, psycopg.errors.UniqueViolation])
def test_a_defect_of_ours_is_not_told_as_the_callers(error: type[psycopg.Error]) -> None:
    assert sqlstates.told(error("odd")) is None
