"""`waybill doctor` beyond the vendors: each row is broken here, and named with what mends it."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from types import MappingProxyType

import grpc
import psycopg
import pytest

from tests.cli.test_doctor import KEY, findings, vendor
from tests.conftest import MigratedPostgres
from waybill.cli.checks import clock, machine, money, rows
from waybill.cli.checks.finding import Finding, State
from waybill.ledger.v1.budget_pb2 import Budget, BudgetWindow
from waybill.ledger.v1.price_pb2 import Price
from waybill.runtime.places import ROOT
from waybill.stack.home import Home

MIGRATIONS = ROOT / "supabase" / "migrations"


@pytest.fixture
def connection(database: MigratedPostgres) -> Iterator[psycopg.Connection]:
    """A migrated database; what a test breaks is rolled back."""
    with psycopg.connect(database.admin_url) as connection:
        yield connection
        connection.rollback()


def of_database(connection: psycopg.Connection) -> dict[str, Finding]:
    return {one.check: one for one in rows.of_connection(connection, MIGRATIONS)}


def test_a_migrated_database_has_nothing_to_mend(connection: psycopg.Connection) -> None:
    found = of_database(connection)
    assert {name: one.state for name, one in found.items()} == {
        "migrations": State.OK, "policies": State.OK, "clock": State.OK,
    }  # fmt: skip
    assert found["migrations"].detail.startswith(f"{len(list(MIGRATIONS.glob('*.sql')))}, up to ")


def test_a_migration_that_is_missing_is_named_with_the_command_that_applies_it(
    connection: psycopg.Connection,
) -> None:
    connection.execute("delete from supabase_migrations.schema_migrations where version = '20261127000032'")
    found = of_database(connection)["migrations"]
    assert (found.state, "20261127000032_budgets.sql" in found.detail) == (State.FAILED, True)
    assert found.mend.startswith("waybill migrate")


def test_a_database_of_a_later_release_is_told(connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into supabase_migrations.schema_migrations (version, statements, name)"
        " values ('29990101000000', array['alter table waybill_index.chunks …'], 'later')"
    )
    found = of_database(connection)["migrations"]
    assert (found.state, "29990101000000_later.sql" in found.detail) == (State.FAILED, True)


@pytest.mark.parametrize(
    "broken",
    [
        "alter table waybill_index.documents no force row level security",
        "alter table waybill_ledger.entries disable row level security",
        "drop policy tenant_only on waybill_parser.jobs; drop policy every_tenant on waybill_parser.jobs",
        "create table waybill_runs.forgotten (tenant text)",
    ],
)
def test_a_table_that_other_tenants_can_read_is_named(connection: psycopg.Connection, broken: str) -> None:
    connection.execute(broken.encode())
    found = of_database(connection)["policies"]
    table = next(word for word in broken.split() if word.startswith("waybill_")).rstrip(";")
    assert (found.state, table in found.detail) == (State.FAILED, True)
    assert f"alter table {table} force row level security" in found.mend


def test_rules_that_a_projects_bucket_lacks_are_told(connection: psycopg.Connection) -> None:
    connection.execute("create schema storage; create table storage.objects (name text)")
    found = of_database(connection)["policies"]
    assert (found.state, found.mend) == (State.FAILED, "waybill migrate")
    connection.execute("create policy waybill_tenant_select on storage.objects using (true)")
    assert of_database(connection)["policies"].state is State.OK


@pytest.mark.parametrize(("seconds", "words"), [(90.0, "90 s ahead of"), (-3600.0, "3600 s behind")])
def test_a_clock_that_is_wrong_is_told_with_its_side(seconds: float, words: str) -> None:
    found = clock.skewed("clock", "the database's", seconds)
    assert (found.state, words in found.detail, "set-ntp" in found.mend) == (State.FAILED, True, True)
    assert clock.skewed("clock", "the database's", 3.0).state is State.OK


def test_a_vendors_clock_is_read_off_its_answer() -> None:
    with vendor(200, date=formatdate(0, usegmt=True)) as base:
        found = findings(base)["openai clock"]
    assert (found.state, "behind" in found.detail) == (State.FAILED, True)
    with vendor(200) as base:
        assert findings(base)["openai clock"].state is State.OK


@dataclass(frozen=True)
class Disk:
    free: int


def of_machine(
    tmp_path: Path, given: Mapping[str, str] = MappingProxyType({}), free: int = 10**12, **settings: str
) -> dict[str, Finding]:
    found = machine.findings(Home(tmp_path / "state"), {**given, **settings}, lambda _: Disk(free))
    return {one.check: one for one in found}


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path) -> None:
    found = of_machine(tmp_path, free=400_000_000)["disk"]
    assert (found.state, "0.4 GB are free" in found.detail) == (State.FAILED, True)
    assert "WAYBILL_HOME" in found.mend
    assert of_machine(tmp_path)["disk"].state is State.OK


def test_a_collector_that_does_not_answer_or_speaks_something_else_is_told(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        there = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        assert of_machine(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=there)["telemetry"].state is State.OK
        server.stop(0).wait()
    with vendor(200) as other:
        spoken = of_machine(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=other.removesuffix("/v1"))["telemetry"]
    assert (spoken.state, "not by gRPC" in spoken.detail) == (State.FAILED, True)
    for endpoint in (there, "collector:4317", "http://collector", "http://[1"):
        found = of_machine(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)["telemetry"]
        assert (found.state, endpoint in found.detail) == (State.FAILED, True)
        assert "OTEL_EXPORTER_OTLP_ENDPOINT=" in found.mend
    assert of_machine(tmp_path)["telemetry"].state is State.OK


def test_alerts_without_a_receiver_or_a_secret_are_told(tmp_path: Path) -> None:
    assert of_machine(tmp_path)["alerts"].state is State.SKIPPED
    address = "https://alerts.example/hook"
    unsigned = of_machine(tmp_path, WAYBILL_ALERT_WEBHOOK_URL=address)["alerts"]
    assert (unsigned.state, "WAYBILL_ALERT_WEBHOOK_SECRET=" in unsigned.mend) == (State.FAILED, True)


def test_whether_a_receiver_of_alerts_answers_is_told_and_nothing_is_sent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/hook"
        signed = {"WAYBILL_ALERT_WEBHOOK_URL": address, "WAYBILL_ALERT_WEBHOOK_SECRET": "whsec_x"}
        found = of_machine(tmp_path, signed)["alerts"]
        assert (found.state, found.detail) == (State.OK, "signed, to 127.0.0.1, which answers")
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100) == b""
        private = of_machine(tmp_path, signed, WAYBILL_ENV="production")["alerts"]
        assert (private.state, "private" in private.detail) == (State.FAILED, True)
    away = of_machine(tmp_path, signed)["alerts"]
    assert (away.state, "nothing listens" in away.detail) == (State.FAILED, True)
    assert "WAYBILL_ALERT_WEBHOOK_URL=" in away.mend


def test_a_model_without_a_price_is_named() -> None:
    prices = [Price(vendor="openai", model="text-embedding-3-small", valid_from="2024-01-25")]
    assert money.of_prices(prices, {"openai": "text-embedding-3-small"}).state is State.OK
    found = money.of_prices(prices, {"openai": "text-embedding-9", "llamaparse": "fast"})
    assert (found.state, "openai text-embedding-9, llamaparse fast" in found.detail) == (State.FAILED, True)
    assert found.mend.startswith("WAYBILL_PRICES_FILE=")


def test_budgets_without_room_and_money_without_a_budget_are_told() -> None:
    room = Budget(budget_id="b1", limit=10, window=BudgetWindow(used=4, held=5))
    full = Budget(budget_id="b2", limit=10, window=BudgetWindow(used=4, held=5, in_doubt=1))
    assert money.of_budgets([room], spends=True).state is State.OK
    found = money.of_budgets([room, full], spends=True)
    assert (found.state, "b2" in found.detail, "b1" in found.detail) == (State.FAILED, True, False)
    assert "waybill budget" in found.mend
    unbounded = money.of_budgets([], spends=True)
    assert (unbounded.state, unbounded.mend) == (State.SKIPPED, "waybill budget set 5usd/day")


def test_a_file_of_keys_that_others_can_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY)
    with vendor(200) as base:
        file.chmod(0o644)
        found = findings(base, OPENAI_API_KEY_FILE=str(file))["openai key file"]
        assert (found.state, found.mend) == (State.FAILED, f"chmod 600 {file}")
        file.chmod(0o600)
        assert "openai key file" not in findings(base, OPENAI_API_KEY_FILE=str(file))
    file.unlink()
    gone = findings("http://127.0.0.1:1/v1", OPENAI_API_KEY_FILE=str(file))["openai key file"]
    assert (gone.state, "cannot be read" in gone.detail) == (State.FAILED, True)
