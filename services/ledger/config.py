"""The ledger's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waybill.runtime.config import Settings
from waybill.runtime.server import ServerConfig


@dataclass(frozen=True)
class LedgerConfig:
    """From the environment.

    Attributes:
        server: Where to serve.
        database_url: WAYBILL_DATABASE_URL, the login role waybill_ledger.
        owner_database_url: WAYBILL_OWNER_DATABASE_URL, the role that sees every tenant.
    """

    server: ServerConfig
    database_url: str
    owner_database_url: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> LedgerConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = Settings(environ)
        config = cls(
            server=ServerConfig.read(settings, "ledger", 7405),
            database_url=settings.text("WAYBILL_DATABASE_URL"),
            owner_database_url=settings.text("WAYBILL_OWNER_DATABASE_URL"),
        )
        settings.check()
        return config
