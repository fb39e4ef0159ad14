"""The ledger's settings."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.ledger.prices import PriceFileError, PriceTable
from services.ledger.retries import RetryBudget
from services.ledger.webhook import WebhookConfig
from waybill import money_settings as money
from waybill import settings as declared
from waybill.runtime.config import Settings
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.runtime.server import ServerConfig


@dataclass(frozen=True)
class LedgerConfig:
    """From the environment.

    Attributes:
        server: Where to serve.
        database_url: WAYBILL_DATABASE_URL, the login role waybill_ledger.
        owner_database_url: WAYBILL_OWNER_DATABASE_URL, the role that sees every tenant.
        prices: The vendors' lists, and before them the table that WAYBILL_PRICES_FILE names.
        operator_tenant: WAYBILL_OPERATOR_TENANT, whose callers have the budgets over all tenants.
        write_off_after: WAYBILL_DOUBT_WRITE_OFF_AFTER, when a doubt that no vendor resolves is given up; 0,
            never.
        webhook: Where budgets' alerts are sent; None: nowhere.
        retries: What a run may spend on repeats.
    """

    server: ServerConfig
    database_url: str
    owner_database_url: str
    operator_tenant: str = DEFAULT_TENANT
    prices: PriceTable = field(default_factory=PriceTable.load)
    write_off_after: datetime.timedelta = datetime.timedelta(0)
    webhook: WebhookConfig | None = None
    retries: RetryBudget = field(default_factory=RetryBudget)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> LedgerConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = declared.read(environ)
        config = cls(
            server=ServerConfig.read(settings, "ledger", declared.FIXED_PORTS["ledger"]),
            database_url=settings.text(declared.DATABASE_URL),
            owner_database_url=settings.text(declared.OWNER_DATABASE_URL),
            operator_tenant=settings.text(declared.OPERATOR_TENANT),
            prices=_prices(settings),
            write_off_after=datetime.timedelta(days=settings.integer(money.DOUBT_WRITE_OFF_AFTER)),
            webhook=WebhookConfig.read(settings),
            retries=RetryBudget(
                settings.integer(money.RETRY_PERCENT), settings.integer(money.RETRY_LEAST_NANO_USD)
            ),
        )
        settings.check()
        return config


def _prices(settings: Settings) -> PriceTable:
    own = settings.text(money.PRICES_FILE)
    try:
        return PriceTable.load(Path(own) if own else None)
    except PriceFileError as error:
        settings.fault(f"WAYBILL_PRICES_FILE is {own!r}: {error}")
        return PriceTable([])
