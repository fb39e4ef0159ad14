"""`waybill prices`: what each thing costs that can be bought, since when, and who says so."""

from __future__ import annotations

from waybill.cli.money import priced
from waybill.cli.plain import plain
from waybill.cli.screen import table
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.ledger.v1.ledger_service_pb2 import ListPricesRequest
from waybill.ledger.v1.price_pb2 import Price
from waybill.money import ANY_MODEL
from waybill.runtime.identity import DEFAULT_TENANT

# Units as people name them; a million microcredits are a credit.
_PLAIN = {"gigabyte hour": "GB hour", "add-on page": "page, on top"}
_KEYS = ("vendor", "model", "unit", "nano_usd_per_million", "valid_from", "source", "own")


def prices(tenant: Tenant = DEFAULT_TENANT, as_json: Json = False) -> None:
    """List the prices that holds are made at; your own, from WAYBILL_PRICES_FILE, come first."""
    with session(tenant, as_json) as here:
        listed = reachable(here.client, "ledger").ledger.ListPrices(ListPricesRequest()).prices
        if as_json:
            here.screen.emit({"prices": [{key: getattr(one, key) for key in _KEYS} for one in listed]})
            return
        header = ("what", "price", "for each", "valid from")
        here.screen.show(*table(header, map(_row, listed), here.screen.page_width))


def _row(one: Price) -> tuple[str, str, str, str]:
    price, per_million = priced(one.nano_usd_per_million)
    unit = plain(_PLAIN.get(one.unit, one.unit))
    each = f"million {unit}s" if per_million else unit
    if one.unit == "microcredit" and per_million:
        each = "credit"
    model = "any work" if one.model == ANY_MODEL else one.model
    what = plain(f"{one.vendor} {model}{' (yours)' if one.own else ''}")
    return what, price, each, one.valid_from
