"""`waybill heal`: a degraded run's document gets what it lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from waybill.cli.asking import PlanFirst, Yes, agree, somebody
from waybill.cli.objects import run_object
from waybill.cli.paging import pages
from waybill.cli.plain import plain
from waybill.cli.plan import money, show_plans
from waybill.cli.planning import PLAN_SECONDS, Planned, plan_object, total
from waybill.cli.runs import run_lines, show_shape
from waybill.cli.screen import Screen, counted
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.cli.sources import Source
from waybill.client import Client
from waybill.orchestrator.v1.heal_plan_pb2 import PlanHealRequest
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetRunRequest, HealRunRequest, ListRunsRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import Precondition, ServiceError
from waybill.runtime.identity import DEFAULT_TENANT

# Why `--all` passes runs over, by the reason of the refusal.
PASSED_OVER = {
    "NOTHING_TO_HEAL": "no vendor can give what the document lacks",
    "VERSION_REPLACED": "the document has another version by now",
    "DOCUMENT_NOT_FOUND": "the document was deleted",
}


def heal(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="A run id.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="All that a vendor or a budget has degraded.")
    ] = False,
    plan: PlanFirst = False,
    yes: Yes = False,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Give a degraded run's document what a vendor could not do then."""
    if bool(run_id) == everything:
        raise typer.BadParameter("name one run, or --all")
    with session(tenant, as_json) as here:
        client, screen = reachable(here.client), here.screen
        runs = [Run(run_id=run_id)] if run_id else list(_degraded(client))
        requests = [HealRunRequest(run_id=run.run_id) for run in runs]
        passed: Counter[str] = Counter()
        if plan:
            requests = _agreed(client, screen, runs, everything, yes, passed)
        if run_id:
            show_shape(screen, run_object(client.orchestrator.HealRun(requests[0]).run))
            return
        _heal_all(client, screen, requests, passed)


def _heal_all(
    client: Client, screen: Screen, requests: Sequence[HealRunRequest], passed: Counter[str]
) -> None:
    """Takes up every run that can be healed; whoever stops it learns how many those are."""
    healed: list[Run] = []
    try:
        for run in _healed(client, screen, requests, passed):
            healed.append(run)
            if not screen.as_json:
                screen.show(*run_lines(run, utc_now(), min(screen.out.width, 100)))
        if screen.as_json:
            screen.emit({"runs": [run_object(run) for run in healed]})
    finally:
        _tell(screen, passed)
        screen.note(f"{counted(len(healed), 'run')} taken up; {screen.command('runs')} follows them")


def _degraded(client: Client) -> Iterator[Run]:
    request = ListRunsRequest(states=[Run.STATE_READY_DEGRADED], page_size=200)
    for page in pages(client.orchestrator.ListRuns, request):
        yield from page.runs


def _tell(screen: Screen, passed: Counter[str]) -> None:
    """Says of how many runs nothing is left to heal, and why."""
    for reason, number in passed.most_common():
        screen.note(f"{counted(number, 'run')} passed over: {PASSED_OVER[reason]} ({reason})")


def _healed(
    client: Client, screen: Screen, requests: Sequence[HealRunRequest], passed: Counter[str]
) -> Iterator[Run]:
    """Each run as it is taken up; names those that a budget refuses still, counts the others."""
    for request in requests:
        try:
            yield client.orchestrator.HealRun(request).run
        except ServiceError as error:
            if error.reason == "BUDGET_EXCEEDED":
                screen.note(f"{plain(request.run_id)}: {plain(error.message)}", "yellow")
            elif error.reason in PASSED_OVER:
                passed[error.reason] += 1
            else:
                raise


def _agreed(
    client: Client, screen: Screen, runs: Sequence[Run], everything: bool, yes: bool, passed: Counter[str]
) -> list[HealRunRequest]:
    """Plans heals, shows it, and asks whether they shall be done so; ends the command where not.

    Answers what was agreed to; counts in `passed` what is not to be healed.

    Raises:
        Precondition: PLAN_NOT_APPROVED, nobody can be asked.
    """
    plans: list[Planned] = []
    requests: list[HealRunRequest] = []
    for run in runs:
        try:
            request = PlanHealRequest(run_id=run.run_id)
            plan = client.orchestrator.PlanHeal(request, timeout=PLAN_SECONDS).plan
        except ServiceError as error:
            if everything and error.reason in PASSED_OVER:
                passed[error.reason] += 1
                continue
            raise
        requests.append(HealRunRequest(run_id=run.run_id, plan=plan.approval))
        name = run.document_key or _document(client, run)
        plans.append(Planned(Source(Path(name), name), plan))
        if screen.as_json:
            told = plan_object(plans[-1])
            del told["path"]
            screen.emit({"run_id": run.run_id, **told})
    if not screen.as_json:
        show_plans(screen, plans)
    if not (yes or somebody()):
        raise Precondition("PLAN_NOT_APPROVED", "Nobody can be asked here whether the plan is good.")
    question = f"Heal {counted(len(plans), 'run')} for {money(total(plans))}?"
    agree(screen, question, yes, "Nothing was healed.")
    return requests


def _document(client: Client, run: Run) -> str:
    return client.orchestrator.GetRun(GetRunRequest(run_id=run.run_id)).run.document_key
