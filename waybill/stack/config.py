"""What the stack reads from the environment, and who there is on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from waybill.runtime.config import Settings

DATABASE_SERVICES = ("storage", "parser", "ledger", "orchestrator")
ROLES = tuple(f"waybill_{service}{kind}" for service in DATABASE_SERVICES for kind in ("", "_owner"))


def migrations_folder(environ: Mapping[str, str]) -> Path:
    """WAYBILL_MIGRATIONS, else those that belong to this code."""
    return Settings(environ).migrations()


@dataclass(frozen=True)
class MigrateConfig:
    """The migrate job.

    WAYBILL_ADMIN_DATABASE_URL  a direct connection as a role that may create roles
    WAYBILL_PASSWORD_<ROLE>     optional, e.g. WAYBILL_PASSWORD_WAYBILL_STORAGE_OWNER
    WAYBILL_MIGRATIONS          optional, the folder of the files
    """

    database_url: str
    passwords: Mapping[str, str]
    migrations: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> MigrateConfig:
        """Reads it; what is missing is named at once."""
        settings = Settings(environ)
        passwords = {role: settings.text(password_variable(role), "") for role in ROLES}
        config = cls(
            database_url=settings.text("WAYBILL_ADMIN_DATABASE_URL"),
            passwords={role: password for role, password in passwords.items() if password},
            migrations=migrations_folder(environ),
        )
        settings.check()
        return config


def password_variable(role: str) -> str:
    """The variable that carries a role's password to the migrate job."""
    return f"WAYBILL_PASSWORD_{role.upper()}"
