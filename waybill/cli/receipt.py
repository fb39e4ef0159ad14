"""The receipt: what was bought, quantity × price a line, and the sums. Fits 60 columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from waybill.cli.bills import Bill
from waybill.cli.money import Figures, unit_price
from waybill.cli.objects import kind_name, state_name
from waybill.cli.plain import plain
from waybill.cli.screen import counted, spread
from waybill.ledger.v1.avoided_pb2 import Avoided
from waybill.ledger.v1.entry_pb2 import Entry, WouldCost
from waybill.money import dollars

MOST_BLOCKS = 5
MOST_WIDTH = 80
_STYLES = {"simulated": "yellow", "local": "dim"}
_REMARKS = {
    Entry.STATE_HELD: "held",
    Entry.STATE_IN_DOUBT: "in doubt",
    Entry.STATE_RELEASED: "released",
    Entry.STATE_WRITTEN_OFF: "written off",
}


@dataclass(frozen=True, slots=True)
class _Item:
    """What makes entries one line: the same thing at the same price, ended the same way."""

    operation: str
    vendor: str
    model: str
    unit: str
    price_nano_usd_per_million: int
    kind: str
    repeated: bool
    remark: str
    would_buy: str

    @classmethod
    def of(cls, entry: Entry) -> _Item:
        return cls(
            entry.operation,
            entry.vendor,
            entry.model,
            entry.unit,
            entry.price_nano_usd_per_million,
            kind_name(entry),
            entry.attempt > 1 and entry.run_id != "",  # a question may be asked again
            _REMARKS.get(entry.state, ""),
            _would_buy(entry.would_cost),
        )


def receipt(bills: Sequence[Bill], width: int, *, would_cost: bool = False) -> Iterator[Text]:
    """Lines of the receipt: a block a document, or one block for all of very many.

    Args:
        bills: What was bought.
        width: Columns there are.
        would_cost: Say beside the work of local engines what a vendor would charge for it.
    """
    width = min(width, MOST_WIDTH)
    yield Text("─" * width, "dim")
    if len(bills) > MOST_BLOCKS:
        pages = sum(bill.run.pages for bill in bills if bill.run)
        read = counted(pages, "page") if pages else ""
        yield spread(Text(counted(len(bills), "run"), "bold"), read, width)
        yield from _items([entry for bill in bills for entry in bill.entries], width, would_cost)
        yield from _avoided([one for bill in bills for one in bill.avoided], width)
        yield from _planned(bills, width)
    else:
        for bill in bills:
            yield from _block(bill, width, would_cost)
    yield Text("─" * width, "dim")
    yield from _sums(sum((bill.figures for bill in bills), Figures()), width)
    like = sum(_would_cost(entry) for bill in bills for entry in bill.entries)
    if would_cost and like:
        yield spread(Text("local work would cost at vendors", "dim"), Text(dollars(like), "dim"), width)


def _block(bill: Bill, width: int, would_cost: bool) -> Iterator[Text]:
    if bill.run is None:
        yield Text(f"vectors of {bill.work}" if bill.work else "searches", "bold")
    else:
        yield spread(Text(plain(bill.run.document_key), "bold"), state_name(bill.run), width)
        size = [counted(n, noun) for n, noun in ((bill.run.pages, "page"), (bill.run.chunks, "chunk")) if n]
        if size:
            yield spread(f"  {', '.join(size)}", bill.figures.short() if bill.entries else "", width)
    yield from _items(bill.entries, width, would_cost)
    yield from _avoided(bill.avoided, width)
    yield from _planned([bill], width)
    if bill.run is not None:
        yield Text(f"  trace {plain(bill.run.trace_id)}", "dim")
        yield Text(f"  run   {plain(bill.run.run_id)}", "dim")


def _items(entries: Iterable[Entry], width: int, would_cost: bool) -> Iterator[Text]:
    grouped: defaultdict[_Item, list[Entry]] = defaultdict(list)
    for entry in entries:
        grouped[_Item.of(entry)].append(entry)
    for item, same in grouped.items():
        repeated = "repeated, " if item.repeated else ""
        remark = f", {item.remark}" if item.remark else ""
        what = Text(
            f"  {plain(item.operation)}  {plain(item.vendor)} {plain(item.model)}".rstrip(),
            "cyan",
        )
        yield spread(what, Text(f"{repeated}{item.kind}{remark}", _STYLES.get(item.kind, "")), width)
        quantity = counted(sum(entry.quantity for entry in same), plain(item.unit))
        price = "" if item.kind == "local" else f" × {unit_price(item.price_nano_usd_per_million)}"
        released = same[0].state == Entry.STATE_RELEASED
        amount = "not owed" if released else dollars(sum(map(_amount, same)))
        yield spread(f"    {quantity}{price}", amount, width)
        if would_cost and item.would_buy:
            like = f"    would cost, {plain(item.would_buy)}"
            yield spread(Text(like, "dim"), Text(dollars(sum(map(_would_cost, same))), "dim"), width)


def _planned(bills: Sequence[Bill], width: int) -> Iterator[Text]:
    """What was agreed to, and by how much the bill differs from that."""
    planned = [(bill.figures, bill.plan) for bill in bills if bill.plan]
    if not planned:
        return
    agreed = Figures(
        sum(plan.nano_usd for _, plan in planned), sum(plan.simulated_nano_usd for _, plan in planned)
    )
    more = Figures(
        sum(cost.cost_nano_usd for cost, _ in planned) - agreed.cost_nano_usd,
        sum(cost.simulated_nano_usd for cost, _ in planned) - agreed.simulated_nano_usd,
    )
    difference = "as planned" if more == Figures() else f"difference {more.short()}"
    yield spread(f"  planned at most {agreed.short()}", difference, width)


def _avoided(avoided: Iterable[Avoided], width: int) -> Iterator[Text]:
    """What was there and so not bought: no money, and in no sum."""
    grouped: defaultdict[tuple[str, str, str, str, int], list[Avoided]] = defaultdict(list)
    for one in avoided:
        place = (one.operation, one.vendor, one.model, one.unit, one.price_nano_usd_per_million)
        grouped[place].append(one)
    for (operation, vendor, model, unit, price), same in grouped.items():
        what = f"  {plain(operation)}  {plain(vendor)} {plain(model)}".rstrip()
        yield spread(Text(what, "dim"), Text("cached, not bought", "dim"), width)
        quantity = counted(sum(one.quantity for one in same), plain(unit))
        avoided_usd = sum(one.nano_usd for one in same)
        amount = Text(f"avoided {dollars(avoided_usd)}", "dim") if avoided_usd else ""
        yield spread(
            Text(f"    {quantity}{f' × {unit_price(price)}' if price else ''}", "dim"), amount, width
        )


def _would_buy(like: WouldCost) -> str:
    """What a vendor sells of the kind, and since when at this price; empty where none does."""
    return f"{like.vendor} {like.model} of {like.price_date}" if like.vendor else ""


def _would_cost(entry: Entry) -> int:
    return int(entry.would_cost.nano_usd)


def _amount(entry: Entry) -> int:
    known = entry.reported_nano_usd if entry.HasField("reported_nano_usd") else entry.expected_nano_usd
    return known + entry.adjusted_nano_usd


def _sums(figures: Figures, width: int) -> Iterator[Text]:
    if figures.cost_nano_usd or figures == Figures():
        yield spread(Text("total", "bold"), Text(dollars(figures.cost_nano_usd), "bold"), width)
    if figures.uncertain_nano_usd:
        yield spread("held or in doubt", dollars(figures.uncertain_nano_usd), width)
    if figures.simulated_nano_usd:
        yield spread("simulated, owed to nobody", Text(dollars(figures.simulated_nano_usd), "yellow"), width)
    if figures.uncertain_simulated_nano_usd:
        yield spread("simulated, held or in doubt", dollars(figures.uncertain_simulated_nano_usd), width)
