"""What the migrate job reads from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from waybill import settings as declared
from waybill.runtime.config import Settings
from waybill.settings import PASSWORDS

ADMIN = "postgres"


def migrations_folder(environ: Mapping[str, str]) -> Path:
    """WAYBILL_MIGRATIONS, else those that belong to this code."""
    return Settings(environ).migrations()


@dataclass(frozen=True)
class MigrateConfig:
    """The migrate job.

    Attributes:
        database_url: A direct connection as a role that may create roles.
        passwords: By role, where one shall be set.
        migrations: The folder of the files.
    """

    database_url: str
    passwords: Mapping[str, str]
    migrations: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> MigrateConfig:
        """Reads it; what is missing is named at once."""
        settings = declared.read(environ)
        passwords = {role: settings.text(setting) for role, setting in PASSWORDS.items()}
        config = cls(
            database_url=settings.text(declared.DATABASE_ADMIN_URL),
            passwords={role: password for role, password in passwords.items() if password},
            migrations=migrations_folder(environ),
        )
        settings.check()
        return config
