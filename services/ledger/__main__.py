"""Starts the ledger: `python -m services.ledger`."""

from __future__ import annotations

import datetime
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog

from services.ledger.alerts import Alerts
from services.ledger.applying import Applying
from services.ledger.audit import AuditLog
from services.ledger.avoided import Avoided
from services.ledger.budgets import Budgets
from services.ledger.changing import expire_holds
from services.ledger.config import LedgerConfig
from services.ledger.deliveries import LOOK_SECONDS, Deliveries
from services.ledger.doubts import Doubts, write_off_old
from services.ledger.egress import Egress
from services.ledger.entries import Entries
from services.ledger.invoices import Invoices
from services.ledger.listing import Listing
from services.ledger.plans import Plans
from services.ledger.reports import Reports
from services.ledger.retention import WINDOWS
from services.ledger.servicer import LedgerServicer
from services.ledger.webhook import opened
from waybill.ledger.v1 import ledger_service_pb2_grpc
from waybill.runtime import semconv, server
from waybill.runtime.audit import Audit
from waybill.runtime.clock import utc_today
from waybill.runtime.loops import repeating
from waybill.runtime.postgres import Database
from waybill.runtime.retention import prune, pruning
from waybill.runtime.telemetry import Telemetry

EXPIRY_SECONDS = 15.0
log = structlog.get_logger()


@asynccontextmanager
async def build(config: LedgerConfig, telemetry: Telemetry) -> AsyncIterator[server.Service]:
    """Joins the ledger's parts; tests call it with a configuration of their own."""
    alerts = Alerts()
    async with (
        Database.opened(config.database_url) as database,
        # One for expiry, one for a report over all tenants.
        Database.opened(config.owner_database_url, max_size=2) as owner,
        repeating("expiry", partial(_expire, owner, alerts, config.write_off_after), EXPIRY_SECONDS),
        _delivering(config, owner, alerts, telemetry),
        pruning(config.server.keep_days, partial(prune, owner, (WINDOWS,))),
    ):
        telemetry.counter(semconv.BUDGET_ALERTS, lambda: alerts.count)
        plans = Plans(database, utc_today)
        entries = Entries(database, config.prices, utc_today, alerts, plans, retries=config.retries)
        budgets = Budgets(database, config.operator_tenant)
        doubts = Doubts(database, owner, config.operator_tenant)
        audit = AuditLog(database, config.operator_tenant)
        told = Audit(audit.append)
        if config.webhook is not None:
            config.webhook.secrets.audited(told, "alert webhook")
        egress = Egress(database, config.prices, alerts)
        invoices = Invoices(owner, config.prices, config.operator_tenant)
        applying = Applying(owner, entries, config.prices, alerts)
        reports = Reports(database, owner, config.operator_tenant)
        yield server.Service(
            rpcs=[
                (
                    ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server,
                    LedgerServicer(
                        entries=entries,
                        listing=Listing(database),
                        budgets=budgets,
                        plans=plans,
                        doubts=doubts,
                        egress=egress,
                        invoices=invoices,
                        applying=applying,
                        avoided=Avoided(database, config.prices, utc_today),
                        reports=reports,
                        prices=config.prices,
                        audit=audit,
                    ),
                )
            ],
            backends={"ledger/postgres": database.ping},
            audit=told,
        )


@asynccontextmanager
async def _delivering(
    config: LedgerConfig, owner: Database, alerts: Alerts, telemetry: Telemetry
) -> AsyncIterator[None]:
    """Sends alerts to the webhook's receiver, where one is set."""
    if config.webhook is None:
        yield
        return
    async with opened(config.webhook) as webhook:
        deliveries = Deliveries(owner, webhook)
        telemetry.counter(semconv.BUDGET_ALERTS_GIVEN_UP, lambda: deliveries.given_up)
        async with repeating("alert webhook", deliveries.turn, LOOK_SECONDS, alerts.told):
            yield


async def _expire(owner: Database, alerts: Alerts, write_off_after: datetime.timedelta) -> None:
    if expired := await expire_holds(owner, alerts):
        log.warning("holds expired and are in doubt", count=expired)
    if write_off_after and (count := await write_off_old(owner, write_off_after, alerts)):
        log.warning("doubts were written off by WAYBILL_DOUBT_WRITE_OFF_AFTER", count=count)


if __name__ == "__main__":
    settings = LedgerConfig.from_env(os.environ)
    server.run(settings.server, lambda telemetry: build(settings, telemetry), settings.database_url)
