"""What the ledger says: whether what the stack buys has a price, and whether anything bounds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from waybill.cli.checks.check import simulated, works
from waybill.cli.checks.finding import Finding, State
from waybill.client import Client
from waybill.ledger.v1.budget_pb2 import Budget
from waybill.ledger.v1.ledger_service_pb2 import ListBudgetsRequest, ListPricesRequest
from waybill.ledger.v1.price_pb2 import Price
from waybill.money_settings import PRICES_FILE
from waybill.vendors.registry import LLAMAPARSE, OPENAI

# Whose calls cost money by the unit; a bucket is paid by the month.
_SELLERS = (OPENAI, LLAMAPARSE)


def findings(client: Client, settings: Mapping[str, str]) -> Iterator[Finding]:
    """Asks the ledger of the running stack. Raises ServiceError.

    Args:
        client: Of the stack.
        settings: Those in force.
    """
    models = bought(settings)
    yield of_prices(client.ledger.ListPrices(ListPricesRequest()).prices, models)
    yield of_budgets(_budgets(client), spends=bool(models) and not simulated(settings))


def bought(settings: Mapping[str, str]) -> Mapping[str, str]:
    """Models or tiers by vendor, of the vendors that do the work."""
    return {
        vendor.name: settings.get(f"{vendor.settings}{vendor.subject.upper()}") or vendor.default_subject
        for vendor in _SELLERS
        if works(vendor, settings)
    }


def _budgets(client: Client) -> Sequence[Budget]:
    return client.ledger.ListBudgets(ListBudgetsRequest(page_size=1000)).budgets


def of_prices(prices: Sequence[Price], bought: Mapping[str, str]) -> Finding:
    """Whether each model that is bought has a price: without one nothing is bought.

    Args:
        prices: Those of today.
        bought: Models or tiers by vendor.
    """
    known = {(price.vendor, price.model) for price in prices}
    if missing := [f"{vendor} {model}" for vendor, model in bought.items() if (vendor, model) not in known]:
        detail = f"none for {', '.join(missing)}: the ledger refuses to buy it"
        return Finding("prices", State.FAILED, detail, f"{PRICES_FILE.name}=a file with it; waybill restart")
    newest = max((price.valid_from for price in prices), default="")
    return Finding("prices", State.OK, f"{len(prices)}, the newest of {newest}; `waybill prices`")


def of_budgets(budgets: Sequence[Budget], *, spends: bool) -> Finding:
    """Whether budgets have room.

    Args:
        budgets: With their windows.
        spends: Whether the stack spends real money.
    """
    over = [one for one in budgets if one.window.over_limit or _is_full(one)]
    if over:
        names = ", ".join(one.budget_id for one in over)
        detail = f"{len(over)} of {len(budgets)} have no room: {names}. Runs wait for them."
        return Finding("budgets", State.FAILED, detail, "waybill budget list; waybill budget set …")
    if not budgets:
        detail = "none: nothing bounds the money" if spends else "none; nothing here costs real money"
        return Finding("budgets", State.SKIPPED, detail, "waybill budget set 5usd/day" if spends else "")
    return Finding("budgets", State.OK, f"{len(budgets)}, each with room")


def _is_full(budget: Budget) -> bool:
    window = budget.window
    return 0 < budget.limit <= window.used + window.held + window.in_doubt
