"""Prices: the newest that is valid, one's own before the lists, and a table that is none told at start."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from services.ledger.config import LedgerConfig
from services.ledger.prices import PriceFileError, PriceTable
from waybill.runtime.config import ConfigError
from waybill.runtime.errors import Precondition

SMALL = ("openai", "text-embedding-3-small", "token")
OWN = """
[[price]]
vendor = "openai"
model = "text-embedding-3-small"
unit = "token"
nano_usd_per_million = 15_000_000
valid_from = 2026-06-01
source = "our contract"
"""


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def own(folder: Path, text: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(text)
    return path


def test_a_price_of_ones_own_goes_before_the_lists_from_its_day_on(tmp_path: Path) -> None:
    table = PriceTable.load(own(tmp_path, OWN))
    assert table.find(*SMALL, day("2026-05-31")).nano_usd_per_million == 20_000_000
    assert table.find(*SMALL, day("2026-06-01")).nano_usd_per_million == 15_000_000
    assert table.find("llamaparse", "fast", "page", day("2026-06-01")).cost_nano_usd(1) == 1_250_000
    assert [price.source for price, mine in table.all() if mine] == ["our contract"]
    any_model = PriceTable.load(own(tmp_path, OWN.replace("text-embedding-3-small", "*")))
    assert any_model.find(*SMALL, day("2026-06-01")).nano_usd_per_million == 15_000_000


def test_work_of_this_machine_is_free_whatever_it_is_called() -> None:
    table = PriceTable.load()
    for model, unit in (("pdf engine", "page"), ("word vectors", "token"), ("model of-mine", "token")):
        assert table.find("local", model, unit, day("2026-11-27")).cost_nano_usd(10**9) == 0


def test_the_lists_have_what_each_vendor_sells_and_who_says_so() -> None:
    listed = {(price.vendor, price.model, price.unit): price for price, _ in PriceTable.load().all()}
    assert listed["supabase", "egress", "byte"].cost_nano_usd(10**9) == 90_000_000
    assert listed["supabase", "cached egress", "byte"].cost_nano_usd(10**9) == 30_000_000
    assert listed["supabase", "storage size", "gigabyte hour"].cost_nano_usd(1) == 29_190
    for tier, credits in (("fast", 1), ("cost_effective", 3), ("agentic", 10), ("agentic_plus", 45)):
        assert listed["llamaparse", tier, "page"].cost_nano_usd(1) == credits * 1_250_000
    # Add-ons are no tier: a plan lists what can parse.
    tiers = {model for vendor, model, unit in listed if (vendor, unit) == ("llamaparse", "page")}
    assert tiers == {"fast", "cost_effective", "agentic", "agentic_plus"}
    for model, batch in (("3-small", 10), ("3-large", 65), ("ada-002", 50)):
        for name, nano_usd in (
            (f"text-embedding-{model}", 2 * batch),
            (f"text-embedding-{model} batch", batch),
        ):
            assert listed["openai", name, "token"].nano_usd_per_million == nano_usd * 1_000_000
    assert all(price.source for price in listed.values())


def test_nothing_is_bought_before_its_price_is_valid_or_where_none_is_known() -> None:
    for vendor, model, unit, when in (
        (*SMALL, "2024-01-24"), ("openai", "text-embedding-9", "token", "2026-11-27"),
        ("llamaparse", "fast", "token", "2026-11-27"),
    ):  # fmt: skip
        with pytest.raises(Precondition, match="WAYBILL_PRICES_FILE"):
            PriceTable.load().find(vendor, model, unit, day(when))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("price = 1", r"no \[\[price"),
        ("[[price", "end of an array"),
        (OWN.replace("15_000_000", "0.015"), "number 1 needs nano_usd_per_million, a whole number"),
        (OWN.replace("15_000_000", "-1"), "is 0 to"),
        (OWN.replace("2026-06-01", "2026-06-01T00:00:00Z"), "number 1 needs valid_from, a day"),
        (OWN.replace('source = "our contract"', ""), "number 1 needs source"),
        (OWN + "per = 1", "has per, which is not known"),
        (OWN + OWN, "2 prices for a token of openai"),
    ],
)
def test_a_table_that_is_none_is_told_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(PriceFileError, match=why):
        PriceTable.load(own(tmp_path, text))


def test_a_ledger_does_not_start_without_the_table_that_is_named(tmp_path: Path) -> None:
    environ = {
        "WAYBILL_DATABASE_URL": "postgresql://", "WAYBILL_OWNER_DATABASE_URL": "postgresql://",
        "WAYBILL_PRICES_FILE": str(tmp_path / "none.toml"),
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"WAYBILL_PRICES_FILE .* cannot be read"):
        LedgerConfig.from_env(environ)
    environ["WAYBILL_PRICES_FILE"] = str(own(tmp_path, OWN))
    assert LedgerConfig.from_env(environ).prices.find(*SMALL, day("2026-11-27")).source == "our contract"
