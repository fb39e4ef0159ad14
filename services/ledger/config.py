"""The ledger's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waybill import settings as declared
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.runtime.server import ServerConfig


@dataclass(frozen=True)
class LedgerConfig:
    """From the environment.

    Attributes:
        server: Where to serve.
        database_url: WAYBILL_DATABASE_URL, the login role waybill_ledger.
        owner_database_url: WAYBILL_OWNER_DATABASE_URL, the role that sees every tenant.
        operator_tenant: WAYBILL_OPERATOR_TENANT, whose callers have the budgets over all tenants.
    """

    server: ServerConfig
    database_url: str
    owner_database_url: str
    operator_tenant: str = DEFAULT_TENANT

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> LedgerConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = declared.read(environ)
        config = cls(
            server=ServerConfig.read(settings, "ledger", declared.FIXED_PORTS["ledger"]),
            database_url=settings.text(declared.DATABASE_URL),
            owner_database_url=settings.text(declared.OWNER_DATABASE_URL),
            operator_tenant=settings.text(declared.OPERATOR_TENANT),
        )
        settings.check()
        return config
