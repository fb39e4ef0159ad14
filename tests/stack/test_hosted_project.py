"""Our migrations on a database laid out as a hosted project's, and what each role may do in the bucket."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from services.storage.backends.port import MAX_OBJECT_BYTES
from tests.conftest import MigratedPostgres, open_folder
from waybill.runtime.places import ROOT
from waybill.stack import migrate, ports, postgres
from waybill.stack.postgres import Postgres

PLATFORM = Path(__file__).with_name("hosted_project.sql")
ADMIN = "project"  # stands for the platform's `postgres`
MIGRATION = ROOT / "supabase" / "migrations" / "20261127000040_storage_bucket.sql"
MINE, THEIRS = "ours.a", "ours"  # one tenant's name begins with the other's
OBJECTS = (
    ("waybill", f"{MINE}/1"), ("waybill", f"{MINE}/2"), ("waybill", f"{THEIRS}/1"), ("waybill", MINE),
    ("another", f"{MINE}/1"),
)  # fmt: skip
PUT = "insert into storage.objects (bucket_id, name) values (%s, %s)"
Claims = Mapping[str, object]


def of_tenant(tenant: str) -> Claims:
    return {"role": "authenticated", "app_metadata": {"tenant": tenant}}


@dataclass(frozen=True)
class Project:
    """Its database, and who asks it something as the storage server does: by role and claims."""

    url: str

    @contextmanager
    def asked_by(self, role: str, claims: Claims | None = None) -> Iterator[psycopg.Connection]:
        """A transaction that leaves nothing."""
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "select set_config('request.jwt.claims', %s, true)", (json.dumps(claims) if claims else "",)
            )
            connection.execute(f"set local role {role}".encode())
            yield connection
            connection.rollback()

    def sees(self, role: str, claims: Claims | None = None) -> set[str]:
        with self.asked_by(role, claims) as connection:
            return {f"{bucket}:{name}" for bucket, name in
                    connection.execute("select bucket_id, name from storage.objects")}  # fmt: skip

    def puts(self, role: str, name: str, claims: Claims | None = None, bucket: str = "waybill") -> None:
        """Raises InsufficientPrivilege where a policy refuses."""
        with self.asked_by(role, claims) as connection:
            connection.execute(PUT, (bucket, name))

    def changes(self, statement: str, role: str, claims: Claims | None = None) -> int:
        """How many objects a statement reaches."""
        with self.asked_by(role, claims) as connection:
            return connection.execute(statement.encode()).rowcount


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = open_folder(tmp_path_factory)
    server = Postgres(folder / "postgres", ports.free_ports(1)[0], "secret")
    with postgres.running(server, folder / "log"):
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(PLATFORM.read_bytes())
        url = server.url(ADMIN, ADMIN)
        migrate.migrate(url, {"waybill_storage": "s"})
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("insert into storage.buckets (id, name) values ('another', 'another')")
            for bucket, name in OBJECTS:
                connection.execute(PUT, (bucket, name))
        yield Project(url)


def test_the_projects_administrator_who_is_no_superuser_applies_every_migration(project: Project) -> None:
    with psycopg.connect(project.url) as connection:
        found = connection.execute(
            "select id, public, file_size_limit from storage.buckets where id = 'waybill'"
        )
        assert found.fetchall() == [("waybill", False, MAX_OBJECT_BYTES)]
    with psycopg.connect(project.url.replace(f"{ADMIN}:{ADMIN}", "waybill_storage:s")) as service:
        service.execute("select from waybill_index.documents")


def test_the_bucket_and_its_policies_are_made_again_as_they_were(project: Project) -> None:
    with psycopg.connect(project.url) as connection:
        connection.execute(
            "update storage.buckets set public = true, file_size_limit = 1, allowed_mime_types = null"
        )
        connection.execute("drop policy waybill_tenant_update on storage.objects")
        for _ in range(2):
            connection.execute(MIGRATION.read_bytes())
        [(public, limit, kinds)] = connection.execute(
            "select public, file_size_limit, allowed_mime_types from storage.buckets where id = 'waybill'"
        )
        assert (public, limit) == (False, MAX_OBJECT_BYTES)
        assert {"application/*", "text/*"} <= set(kinds)
        made = connection.execute(
            "select cmd, roles::text[] from pg_policies where schemaname = 'storage' order by cmd"
        ).fetchall()
        connection.rollback()
    assert made == [(command, ["authenticated"]) for command in ("DELETE", "INSERT", "SELECT", "UPDATE")]


def test_where_the_server_has_no_storage_nothing_is_made(database: MigratedPostgres) -> None:
    with psycopg.connect(database.admin_url) as connection:
        connection.execute(MIGRATION.read_bytes())
        assert connection.execute("select to_regnamespace('storage')").fetchone() == (None,)


def test_the_command_lines_file_allows_what_the_bucket_does_and_exposes_no_schema_of_ours() -> None:
    config = tomllib.loads((ROOT / "supabase" / "config.toml").read_text(encoding="utf-8"))
    assert config["storage"]["file_size_limit"] == f"{MAX_OBJECT_BYTES // 1_000_000}MB"
    assert not [name for name in config["api"]["schemas"] if name.startswith("waybill")]


def test_a_user_sees_the_objects_of_the_tokens_tenant_and_no_other(project: Project) -> None:
    assert project.sees("authenticated", of_tenant(MINE)) == {f"waybill:{MINE}/1", f"waybill:{MINE}/2"}
    assert project.sees("authenticated", of_tenant(THEIRS)) == {f"waybill:{THEIRS}/1"}
    older = {"role": "authenticated", "app_metadata": {"tenant_id": THEIRS, "tenant": MINE}}
    assert project.sees("authenticated", older) == {f"waybill:{THEIRS}/1"}


@pytest.mark.parametrize(
    "claims",
    [
        None,
        {"role": "authenticated"},
        {"role": "authenticated", "app_metadata": None},
        {"role": "authenticated", "app_metadata": {"tenant": ""}},
        {"role": "authenticated", "app_metadata": {"tenant": "%"}},
        {"role": "authenticated", "app_metadata": {"tenant": [MINE]}},
        {"role": "authenticated", "tenant": MINE, "user_metadata": {"tenant": MINE}},
    ],
)
def test_a_token_that_names_no_tenant_opens_nothing(project: Project, claims: Claims | None) -> None:
    assert project.sees("authenticated", claims) == set()
    with pytest.raises(errors.InsufficientPrivilege):
        project.puts("authenticated", f"{MINE}/3", claims)


def test_a_user_writes_below_the_own_tenant_in_our_bucket_alone(project: Project) -> None:
    project.puts("authenticated", f"{MINE}/3", of_tenant(MINE))
    foreign = [f"{THEIRS}/3", MINE, "3", f"/{MINE}/3"]
    for bucket, name in [*(("waybill", name) for name in foreign), ("another", f"{MINE}/3")]:
        with pytest.raises(errors.InsufficientPrivilege):
            project.puts("authenticated", name, of_tenant(MINE), bucket)


def test_a_user_changes_and_deletes_the_own_objects_alone_and_moves_none_elsewhere(project: Project) -> None:
    user = ("authenticated", of_tenant(MINE))
    assert project.changes("update storage.objects set version = 'x'", *user) == 2
    assert project.changes("delete from storage.objects", *user) == 2
    for statement in (
        "update storage.objects set name = 'ours/stolen' where name = 'ours.a/1'",
        "update storage.objects set bucket_id = 'another'",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            project.changes(statement, *user)


def test_who_is_not_signed_in_sees_writes_and_deletes_nothing(project: Project) -> None:
    assert project.sees("anon", {"role": "anon"} | {"app_metadata": {"tenant": MINE}}) == set()
    assert project.changes("delete from storage.objects", "anon") == 0
    assert project.changes("update storage.objects set version = 'x'", "anon") == 0
    with pytest.raises(errors.InsufficientPrivilege):
        project.puts("anon", f"{MINE}/3")


def test_the_service_role_has_every_tenants_objects(project: Project) -> None:
    assert {f"waybill:{MINE}/1", f"waybill:{THEIRS}/1"} <= project.sees(
        "service_role", {"role": "service_role"}
    )
    project.puts("service_role", f"{THEIRS}/3")
