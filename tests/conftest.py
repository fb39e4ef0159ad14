"""One embedded Postgres for the whole session, migrated; nothing of it outlives pytest."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from waybill.settings import ROLES
from waybill.stack import ports, postgres
from waybill.stack.migrate import migrate

# Scenarios assert outside of test modules.
pytest.register_assert_rewrite("tests.scenarios.scenarios", "tests.scenarios.stand")

# A busy machine is no failure: what hangs is ended by pytest's own timeout.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

# Workers choose ports apart: nobody takes one between its choice and the start of who listens there.
SHARE = len(ports.LASTING) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
FIRST = SHARE * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
ports.LASTING = ports.LASTING[FIRST : FIRST + SHARE]


@dataclass(frozen=True)
class MigratedPostgres:
    """Where to connect, and as whom.

    Args:
        admin_url: The administrator; row-level security does not hold for it.
        urls: By role: `waybill_storage` (one tenant), `waybill_storage_owner` (all), …
    """

    admin_url: str
    urls: Mapping[str, str]

    def url(self, service: str) -> str:
        """What the service gets as WAYBILL_DATABASE_URL."""
        return self.urls[f"waybill_{service}"]

    def owner_url(self, service: str) -> str:
        """What the service gets as WAYBILL_OWNER_DATABASE_URL."""
        return self.urls[f"waybill_{service}_owner"]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MigratedPostgres]:
    """A migrated database; tests keep apart by tenant."""
    folder = open_folder(tmp_path_factory)
    server = postgres.Postgres(folder / "postgres", ports.free_ports(1)[0], secrets.token_urlsafe(24))
    passwords = {role: secrets.token_urlsafe(24) for role in ROLES}
    with postgres.running(server, folder / "postgres.log"):
        migrate(server.url(), passwords)
        yield MigratedPostgres(server.url(), {role: server.url(role, passwords[role]) for role in ROLES})


def open_folder(factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that Postgres' unprivileged user can reach when pytest runs as root."""
    if postgres.account() is None:
        return factory.mktemp("waybill")
    # Not below pytest's own root, which another session closes again.
    folder = Path(tempfile.mkdtemp(prefix="waybill-test-"))
    folder.chmod(0o711)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
