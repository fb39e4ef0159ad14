"""Why a day's sum on an invoice is not the ledger's.

Each reason is what the rows of both sides leave over once those before it are taken away: what is in doubt,
what was given up, what was released, and then what one side does not have or counts otherwise.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Difference:
    """See Drift in the contract."""

    reason: str
    day: datetime.date | None = None
    models: tuple[str, ...] = ()
    tenant: str = ""
    run_id: str = ""
    document_key: str = ""
    entry_id: str = ""
    vendor_reference: str = ""
    line: int = 0
    entries: int = 0
    unit: str = ""
    invoiced_quantity: int = 0
    ledger_quantity: int = 0
    invoiced_nano_usd: int = 0
    ledger_nano_usd: int = 0

    @property
    def nano_usd(self) -> int:
        """How much more the vendor charges."""
        return self.invoiced_nano_usd - self.ledger_nano_usd


@dataclass(frozen=True)
class Share:
    """Entries of one state and one run in a sum, which count as nothing so far."""

    state: str
    tenant: str
    run_id: str
    document_key: str
    entries: int
    quantity: int
    nano_usd: int


@dataclass
class Sum:
    """One day's sum over models, on both sides.

    Attributes:
        unit: Of the quantities.
        line: Of the file; 0 where it has none.
        quantity, requests, nano_usd: On the invoice; None where that is not told.
        entries, ledger_quantity, ledger_nano_usd: Settled, adjustments included.
        shares: What else the ledger has.
        price: Nano-USD for a million units.
    """

    day: datetime.date
    models: tuple[str, ...]
    unit: str = ""
    line: int = 0
    quantity: int | None = None
    requests: int | None = None
    nano_usd: int | None = None
    entries: int = 0
    ledger_quantity: int = 0
    ledger_nano_usd: int = 0
    shares: list[Share] = field(default_factory=list)
    price: int = 0

    @property
    def by_quantity(self) -> bool:
        """Whether units are compared; money alone otherwise."""
        return self.quantity is not None

    @property
    def doubts(self) -> Sequence[Share]:
        """What is in doubt, or under way."""
        return [one for one in self.shares if one.state in ("IN_DOUBT", "HELD")]

    @property
    def rest(self) -> int:
        """How much more is invoiced than was settled, in what is compared."""
        if self.quantity is not None:
            return self.quantity - self.ledger_quantity
        return (self.nano_usd or 0) - self.ledger_nano_usd

    @property
    def tolerance(self) -> int:
        """Each entry is rounded up to the nano-dollar; a vendor's sum is rounded once."""
        return 0 if self.by_quantity else self.entries + sum(one.entries for one in self.shares) + 1

    def measure(self, shares: Sequence[Share]) -> int:
        """How much shares are, in what is compared."""
        return sum(one.quantity if self.by_quantity else one.nano_usd for one in shares)

    @property
    def all_doubts_charged(self) -> bool:
        """Whether the invoice is what was settled and all that is in doubt, to the unit and the request."""
        doubts = self.doubts
        requests = self.entries + sum(one.entries for one in doubts)
        return (
            bool(doubts)
            and abs(self.rest - self.measure(doubts)) <= self.tolerance
            and self.requests in (None, requests)
        )

    @property
    def no_doubt_charged(self) -> bool:
        """Whether the invoice has this sum, and it is what was settled alone, to the unit and the request."""
        settled = self.rest == 0 and self.requests in (None, self.entries)
        return self.line > 0 and self.by_quantity and bool(self.doubts) and settled


def differences(sums: Sequence[Sum]) -> list[Difference]:
    """Why sums differ, in their order. What the vendor counts on another of these days is no drift."""
    explained = [(one, list(_explained(one))) for one in sums]
    left: dict[tuple[str, ...], int] = defaultdict(int)
    for one, found in explained:
        left[one.models] += sum(_rest_of(one, each) for each in found if each.reason in _RESTS)
    result = []
    for one, found in explained:
        for each in found:
            moved = each.reason in _RESTS and left[one.models] == 0
            result.append(replace(each, reason="DAY_DIFFERS") if moved else each)
    return result


_RESTS = ("NOT_IN_LEDGER", "NOT_INVOICED", "QUANTITY_DIFFERS")


def _rest_of(one: Sum, each: Difference) -> int:
    return each.invoiced_quantity - each.ledger_quantity if one.by_quantity else each.nano_usd


def _explained(one: Sum) -> Iterator[Difference]:
    rest = one.rest
    doubts = one.doubts
    taken = [doubts] if doubts and rest >= one.measure(doubts) > 0 else []
    rest -= sum(map(one.measure, taken))
    for share in doubts:
        charged = bool(taken)
        if charged or rest <= one.tolerance:
            yield _of_share(one, "IN_DOUBT", share, charged=charged)
    if doubts and not taken and rest > one.tolerance:
        # Some of them, and nobody can say which.
        whole = _joined(doubts, rest if one.by_quantity else 0, 0 if one.by_quantity else rest)
        yield _of_share(one, "IN_DOUBT", _priced(one, whole), charged=True)
        rest = 0
    for state in ("WRITTEN_OFF", "RELEASED"):
        shares = [share for share in one.shares if share.state == state]
        if shares and rest > one.tolerance and abs(rest - one.measure(shares)) <= one.tolerance:
            for share in shares:
                yield _of_share(one, state, share, charged=True)
            rest, taken = 0, [*taken, shares]
    if abs(rest) > one.tolerance:
        yield _left_over(one, rest)
    elif one.by_quantity and one.nano_usd is not None:
        known = one.ledger_nano_usd + sum(share.nano_usd for shares in taken for share in shares)
        if abs(one.nano_usd - known) > one.entries + 1:
            yield replace(
                _difference(one, "PRICE_DIFFERS"),
                invoiced_quantity=one.quantity or 0, ledger_quantity=one.ledger_quantity,
                invoiced_nano_usd=one.nano_usd, ledger_nano_usd=known,
            )  # fmt: skip


def _left_over(one: Sum, rest: int) -> Difference:
    """What nothing else accounts for."""
    if one.requests is not None and one.requests == one.entries:
        reason = "QUANTITY_DIFFERS"
    elif not one.by_quantity and one.entries and one.nano_usd:
        reason = "AMOUNT_DIFFERS"
    else:
        reason = "NOT_IN_LEDGER" if rest > 0 else "NOT_INVOICED"
    more = rest * one.price // 1_000_000 if one.by_quantity else rest
    return replace(
        _difference(one, reason),
        invoiced_quantity=one.ledger_quantity + rest if one.by_quantity else 0,
        ledger_quantity=one.ledger_quantity if one.by_quantity else 0,
        invoiced_nano_usd=one.ledger_nano_usd + more,
        ledger_nano_usd=one.ledger_nano_usd,
    )


def _of_share(one: Sum, reason: str, share: Share, *, charged: bool) -> Difference:
    return replace(
        _difference(one, reason),
        tenant=share.tenant, run_id=share.run_id, document_key=share.document_key, entries=share.entries,
        invoiced_quantity=share.quantity if charged and one.by_quantity else 0,
        invoiced_nano_usd=share.nano_usd if charged else 0,
    )  # fmt: skip


def _difference(one: Sum, reason: str) -> Difference:
    unit = one.unit if one.by_quantity else ""
    return Difference(reason, one.day, one.models, line=one.line, entries=one.entries, unit=unit)


def _joined(shares: Sequence[Share], quantity: int, nano_usd: int) -> Share:
    """Several runs' as one; it names a run where they are all of one."""
    first = shares[0]
    same = len({(one.tenant, one.run_id) for one in shares}) == 1
    entries = sum(one.entries for one in shares)
    if same:
        return replace(first, entries=entries, quantity=quantity, nano_usd=nano_usd)
    return Share(first.state, "", "", "", entries, quantity, nano_usd)


def _priced(one: Sum, share: Share) -> Share:
    return share if share.nano_usd else replace(share, nano_usd=share.quantity * one.price // 1_000_000)
