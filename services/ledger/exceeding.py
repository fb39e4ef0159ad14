"""What a caller is told of a hold that a budget does not allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote

from services.ledger.rows import ALL_TENANTS, NO_RUN, Row, tenant_option
from waybill.money import dollars
from waybill.runtime import semconv
from waybill.runtime.errors import Quota, Violation

SUMS = ("used", "held", "in_doubt")


def exceeded(entry: Row, full: Sequence[Row]) -> Quota:
    """BUDGET_EXCEEDED, with each budget that is too full for the entry.

    A repeat makes sense once all of them have a new window; where one never has, there is no RetryInfo.
    What others spend from a budget over all tenants is not told.
    """
    violations = [_violation(entry, budget) for budget in full]
    resets = [budget["resets_in_seconds"] for budget in full]
    retry = None if None in resets else max(0.0, *resets)
    told = " ".join(one.description for one in violations[:3])
    first = full[0]
    metadata = {semconv.BLOCKED_ON: f"{first['budget_id']}:{_wanted(entry, first['unit'])}"}
    return Quota(
        "BUDGET_EXCEEDED",
        f"{told} Nothing was bought. {' '.join(_ways_on(entry, full))}",
        metadata,
        retry,
        violations,
    )


def _planned(budget: Row) -> bool:
    """Whether it is what a run's plan allows, and nobody has changed it since."""
    return budget.get("planned") is not None and budget["planned"] == budget["limit_amount"]


def _needed(entry: Row, budget: Row) -> int:
    """The limit that the purchase needs, nano-USD."""
    return int(sum(budget[name] for name in SUMS) + _wanted(entry, "NANO_USD"))


def _outrun(entry: Row, budget: Row) -> str:
    """By how much a run outran its plan."""
    wanted, needed = _wanted(entry, "NANO_USD"), _needed(entry, budget)
    return (
        f"The run outran its plan of {dollars(budget['limit_amount'])} by"
        f" {dollars(needed - budget['limit_amount'])}: {dollars(needed - wanted)} is used, held or in doubt,"
        f" and the next purchase is {dollars(wanted)}."
    )


def _ways_on(entry: Row, full: Sequence[Row]) -> Iterator[str]:
    """What lets the purchase be made after all."""
    windows = [budget for budget in full if budget["resets_at"] is not None]
    if windows:
        commands = " and ".join(f"`{_raising(entry, budget)}`" for budget in windows[:3])
        yield f"Raise the limit, {commands}, or await the next window."
    for budget in full:
        if budget["resets_at"] is None:
            enough = f"{dollars(_needed(entry, budget))[1:].replace(',', '')}usd"
            limit, or_more = (enough, f", to {enough} or more") if _planned(budget) else ("LIMIT", "")
            yield f"A run has no next window; raise its limit{or_more}: `{_raising(entry, budget, limit)}`."
            return


def _raising(entry: Row, budget: Row, limit: str = "LIMIT") -> str:
    """The command that changes its limit, of its whole scope: else another budget would be set."""
    named = [name for name in ("service", "collection") if budget[name]]
    options = "".join(f" --{name} {quote(budget[name])}" for name in named)
    run = f" --run {budget['run_id']}" if str(budget["run_id"]) != NO_RUN else ""
    simulated = " --simulated" if budget["kind"] == "SIMULATED" else ""
    whose = " --all-tenants" if budget["tenant"] == ALL_TENANTS else tenant_option(entry)
    return f"waybill budget set {limit}/{budget['period'].lower()}{run}{options}{simulated}{whose}"


def _violation(entry: Row, budget: Row) -> Violation:
    unit, shared = budget["unit"], budget["tenant"] != entry["tenant"]
    wanted = _wanted(entry, unit)
    dimensions = {"wanted": str(wanted), "period": budget["period"], "kind": budget["kind"]}
    resets = ""
    if budget["resets_at"] is not None:
        dimensions["resets_at"] = f"{budget['resets_at']:%Y-%m-%dT%H:%M:%SZ}"
        resets = f" It resets at {dimensions['resets_at']}."
    if shared:
        counted = "what all tenants have used, held and in doubt"
    else:
        dimensions |= {name: str(budget[name]) for name in SUMS}
        counted = ", ".join(f"{amount(unit, budget[name])} {name.replace('_', ' ')}" for name in SUMS)
    return Violation(
        subject=f"budgets/{budget['budget_id']}",
        description=_outrun(entry, budget)
        if _planned(budget)
        else f"{title(budget)} does not allow {amount(unit, wanted)} more beside {counted}.{resets}",
        metric=unit,
        limit=budget["limit_amount"],
        dimensions=dimensions,
    )


def _wanted(entry: Row, unit: str) -> int:
    return int({"NANO_USD": entry["expected_nano_usd"], "BYTES": entry["size_bytes"]}.get(unit, 1))


def title(budget: Row) -> str:
    """For instance "The budget of $5.00 a day for service embedder"."""
    scope = "".join(f" for {name} {budget[name]}" for name in ("service", "collection") if budget[name])
    everyone = " over all tenants" if budget["tenant"] == ALL_TENANTS else ""
    simulated = " of simulated spending" if budget["kind"] == "SIMULATED" else ""
    limit = amount(budget["unit"], budget["limit_amount"])
    each = "an hour" if budget["period"] == "HOUR" else f"a {budget['period'].lower()}"
    return f"The budget of {limit} {each}{simulated}{scope}{everyone}"


def amount(unit: str, number: int) -> str:
    """For instance `$0.05`, `30 requests`, `1,000 bytes`."""
    if unit == "NANO_USD":
        return dollars(number)
    noun = unit.lower()
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}"
