"""A Postgres of its own for a measurement: migrated, on a free port, gone at the end."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from waybill.settings import ROLES
from waybill.stack import ports, postgres
from waybill.stack.migrate import migrate


@dataclass(frozen=True, slots=True)
class Urls:
    """Where to connect as the storage service, as its owner role, as the administrator, and by any role."""

    storage: str
    owner: str
    admin: str
    roles: Mapping[str, str]


@contextmanager
def migrated() -> Iterator[Urls]:
    """A running, migrated Postgres in a temporary folder that its unprivileged user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="waybill-measured-"))
    folder.chmod(0o711)
    server = postgres.Postgres(folder / "postgres", ports.free_ports(1)[0], secrets.token_urlsafe(24))
    passwords = {role: secrets.token_urlsafe(24) for role in ROLES}
    try:
        with postgres.running(server, folder / "postgres.log"):
            migrate(server.url(), passwords)
            urls = {role: server.url(role, passwords[role]) for role in ROLES}
            yield Urls(urls["waybill_storage"], urls["waybill_storage_owner"], server.url(), urls)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
