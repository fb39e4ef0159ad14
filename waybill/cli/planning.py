"""Plans of the files of a command: one at a time, each with what it would cost, and their sums."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from waybill.cli.money import Figures
from waybill.cli.objects import Shape, approval_object, refusal_object, told
from waybill.cli.sources import Source, unreadable
from waybill.client import Client
from waybill.common.v1.cost_pb2 import CostKind
from waybill.orchestrator.v1.plan_pb2 import ApprovedPlan, PlanLine, PlanResponse
from waybill.runtime.errors import ServiceError

# A long document is read before it is priced.
PLAN_SECONDS = 600.0
_COUNTS = ("unchanged", "parse_paid", "pages", "chunks_new", "chunks_kept", "chunks_removed", "text_known")


@dataclass(frozen=True, slots=True)
class Planned:
    """A file, and what its ingest would do.

    Attributes:
        plan: None where it would be refused.
        error: Why it would.
        sha256: Of its content; empty where it could not be read.
        pays_for_it: An earlier file of the command with the same content, whose run pays for both.
    """

    source: Source
    plan: PlanResponse | None = None
    error: ServiceError | None = None
    sha256: str = ""
    pays_for_it: Source | None = None

    @property
    def line(self) -> PlanLine:
        """What it costs as it is configured; nothing where nothing is to do."""
        return self.plan.lines[0] if self.plan and self.plan.lines else PlanLine(exact=True)


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over planned files, in nano-USD.

    Attributes:
        expected: What it seems to cost.
        most: What it may cost.
        exact: The two are the same, and the bill will be.
    """

    expected: Figures = field(default_factory=Figures)
    most: Figures = field(default_factory=Figures)
    exact: bool = True


def planned(
    client: Client, sources: Sequence[Source], collection: str, complete_by: datetime | None
) -> Iterator[Planned]:
    """Plans files one by one, in their order."""
    first: dict[str, Source] = {}
    for source in sources:
        one = _plan(client, source, collection, complete_by)
        earlier = first.get(one.sha256)
        if earlier is not None and one.plan is not None and not one.plan.unchanged:
            yield Planned(source, _paid_by_other(one.plan), sha256=one.sha256, pays_for_it=earlier)
            continue
        if one.plan is not None:
            first.setdefault(one.sha256, source)
        yield one


def total(plans: Sequence[Planned]) -> Total:
    """What all of them cost as it is configured."""
    lines = [one.line for one in plans]
    most = [one.plan.approval for one in plans if one.plan]
    return Total(
        sum((figures_of(line) for line in lines), Figures()),
        Figures(sum(one.nano_usd for one in most), sum(one.simulated_nano_usd for one in most)),
        all(line.exact for line in lines),
    )


def figures_of(line: PlanLine) -> Figures:
    """What a configured line costs, real and simulated money apart."""
    parts = ((line.parse_kind, line.parse_nano_usd), (line.embed_kind, line.embed_nano_usd))
    return Figures(
        sum(cost for kind, cost in parts if kind == CostKind.COST_KIND_REAL),
        sum(cost for kind, cost in parts if kind == CostKind.COST_KIND_SIMULATED),
    )


def parses_elsewhere(plans: Sequence[Planned]) -> Mapping[tuple[str, str], int]:
    """What the parses would cost by vendor and tier, nano-USD."""
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for one in plans:
        ways = {(line.parse_vendor, line.parse_model): line.parse_nano_usd for line in _lines(one)}
        for way, cost in ways.items():
            sums[way] += cost
    return {way: cost for way, cost in sums.items() if way[0] != "local"}


def embeddings_elsewhere(plans: Sequence[Planned]) -> Mapping[tuple[str, str, bool], int]:
    """What the embeddings would cost, nano-USD, by vendor, model and whether by batch."""
    sums: defaultdict[tuple[str, str, bool], int] = defaultdict(int)
    for one in plans:
        here = (one.line.parse_vendor, one.line.parse_model)
        for line in _lines(one):
            if (line.parse_vendor, line.parse_model) == here:
                sums[line.embed_vendor, line.embed_model, line.batch] += line.embed_nano_usd
    return {way: cost for way, cost in sums.items() if way[0] != "local"}


def plan_object(one: Planned) -> Shape:
    """A planned file, as `plan` prints it."""
    plan = one.plan or PlanResponse()
    return {
        "path": str(one.source.path),
        "document_key": one.source.document_key,
        "price_day": plan.price_day or None,
        **{name: getattr(plan, name) for name in _COUNTS},
        "format": plan.format or None,
        "same_content_as": plan.same_content_as or None,
        "paid_by": one.pays_for_it.document_key if one.pays_for_it else None,
        "lines": [_line_object(line) for line in plan.lines],
        "approval": approval_object(plan.approval) if one.plan else None,
        "error": refusal_object(one.error) if one.error else None,
    }


def total_object(plans: Sequence[Planned]) -> Shape:
    """The last line that `plan` prints."""
    whole = total(plans)
    return {
        "documents": len(plans),
        "refused": sum(one.plan is None for one in plans),
        "exact": whole.exact,
        "cost_nano_usd": whole.expected.cost_nano_usd,
        "simulated_nano_usd": whole.expected.simulated_nano_usd,
        "most_cost_nano_usd": whole.most.cost_nano_usd,
        "most_simulated_nano_usd": whole.most.simulated_nano_usd,
    }


def _plan(client: Client, source: Source, collection: str, complete_by: datetime | None) -> Planned:
    if source.fault is not None:
        return Planned(source, error=source.fault)
    try:
        with source.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        plan = client.plan(
            source.path,
            document_key=source.document_key,
            collection=collection,
            complete_by=complete_by,
            timeout=PLAN_SECONDS,
        )
    except OSError as error:
        return Planned(source, error=unreadable(source.path, error))
    except ServiceError as error:
        return Planned(source, error=error)
    return Planned(source, plan, sha256=sha256)


def _paid_by_other(plan: PlanResponse) -> PlanResponse:
    """The plan of a file whose content another one of the same command pays for before."""
    free = PlanResponse()
    free.CopyFrom(plan)
    free.parse_paid, free.text_known = True, True
    free.chunks_kept, free.chunks_new = plan.chunks_kept + plan.chunks_new, 0
    del free.lines[:]
    free.approval.CopyFrom(ApprovedPlan(price_day=plan.price_day))
    return free


def _lines(one: Planned) -> Sequence[PlanLine]:
    return one.plan.lines if one.plan else ()


def _line_object(line: PlanLine) -> Shape:
    return {**told(line), "nano_usd": line.parse_nano_usd + line.embed_nano_usd}
