"""`waybill budget` against the real ledger: what people type, what they read, and what programs do."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial

import pytest
import typer
from typer.testing import CliRunner, Result

from services.ledger.__main__ import build
from services.ledger.config import LedgerConfig
from tests.cli.fakes import Ledger, Orchestrator, make_entry, make_run, serving
from tests.cli.test_commands import documented
from tests.conftest import MigratedPostgres
from tests.inprocess import served, server_config
from waybill.cli.limits import Limit, limit, usd
from waybill.cli.main import app
from waybill.ledger.v1.budget_pb2 import Budget

Waybill = Callable[..., Result]


@pytest.fixture(scope="module")
def ledger_address(database: MigratedPostgres) -> Iterator[str]:
    """A ledger in a thread of its own."""
    loop, stack = asyncio.new_event_loop(), AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    config = LedgerConfig(
        server_config("ledger"), database.url("ledger"), database.owner_url("ledger"), "boss"
    )
    entering = stack.enter_async_context(served("ledger", partial(build, config)))
    try:
        yield asyncio.run_coroutine_threadsafe(entering, loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def waybill(ledger_address: str) -> Waybill:
    """Runs `waybill budget` for a tenant that nobody else is."""
    tenant = f"t{uuid.uuid4().hex[:12]}"
    env = {"WAYBILL_LEDGER_ADDRESS": ledger_address, "WAYBILL_ORCHESTRATOR_ADDRESS": "x:1"}
    return lambda *words, who=tenant, columns="100", **more: CliRunner().invoke(
        app, ["budget", *words, "--tenant", who], env={**env, "COLUMNS": columns, **more}
    )


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("5usd/day", Limit(5_000_000_000, Budget.UNIT_NANO_USD, Budget.PERIOD_DAY)),
        ("0.000000001USD/run", Limit(1, Budget.UNIT_NANO_USD, Budget.PERIOD_RUN)),
        ("1_000requests/hour", Limit(1000, Budget.UNIT_REQUESTS, Budget.PERIOD_HOUR)),
        ("1.5gb/month", Limit(1_500_000_000, Budget.UNIT_BYTES, Budget.PERIOD_MONTH)),
    ],
)
def test_a_limit_is_read_exactly(text: str, read: Limit) -> None:
    assert limit(text) == read


@pytest.mark.parametrize(
    "text",
    ["", "5", "5usd", "usd/day", "-5usd/day", "5eur/day", "5usd/week", "0.5requests/day",
     "0.0000000001usd/day", "1e9usd/day", "nanusd/day", "99999999999usd/day", "5usd/day/day", "٥usd/day"],
)  # fmt: skip
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"limit|whole number|counted"):
        limit(text)


def test_a_limit_below_a_nano_dollar_is_told_as_that() -> None:
    with pytest.raises(typer.BadParameter, match="whole number of nano-dollars"):
        limit("0.0000000001usd/day")


@pytest.mark.parametrize("text", ["", "-1", "five", "1e3", "0.0000000001", "5usd", "nan"])
def test_what_is_no_sum_of_dollars_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        usd(text)


def test_a_budget_is_set_listed_shown_changed_and_removed(waybill: Waybill) -> None:
    assert "nothing limits" in waybill("list").stderr
    assert waybill("set", "5usd/day", "--service", "embedder").exit_code == 0
    changed = waybill("set", "6usd/day", "--service", "embedder", "--alert-at", "50")
    assert "$6.00 a day, service embedder" in changed.stdout
    listed = waybill("list").stdout
    assert "a day, service embedder" in listed
    short = listed.split()[-1]
    shown = waybill("show", short).stdout
    assert "$5.00 → $6.00" in shown
    assert "none → $5.00" in shown
    assert "alert at 50 %" in shown
    assert "removed: a day, service embedder" in waybill("rm", short).stderr
    assert "nothing limits" in waybill("list").stderr
    assert waybill("rm", short).exit_code == 4


def test_a_list_shows_whole_titles_at_80_columns(waybill: Waybill) -> None:
    for words in (("5gb/month", "--collection", "handbooks"), ("10requests/hour", "--service", "embedder")):
        assert waybill("set", *words).exit_code == 0
    lines = [" ".join(line.split()[:-1]) for line in waybill("list", columns="80").stdout.splitlines()[1:]]
    assert sorted(lines) == [
        "a month, collection handbooks 0 B 0 B 0 B 5.0 GB",
        "an hour, service embedder 0 req 0 req 0 req 10 req",
    ]


def test_programs_read_a_budget_as_json(waybill: Waybill) -> None:
    set_budget = json.loads(waybill("set", "100requests/hour", "--simulated", "--json").stdout)
    assert list(set_budget) == documented("budget")
    assert set_budget["limit"] == 100
    assert (set_budget["unit"], set_budget["period"], set_budget["kind"]) == ("requests", "hour", "simulated")
    assert set_budget["window"]["used"] == 0
    assert json.loads(waybill("list", "--json").stdout) == {"budgets": [set_budget]}
    shown = json.loads(waybill("show", set_budget["budget_id"], "--json").stdout)
    assert [(one["old_limit"], one["new_limit"]) for one in shown["changes"]] == [(None, 100)]
    assert list(shown["changes"][0]) == documented("budget change")


def test_a_run_s_budget_stands_apart_and_a_run_that_nobody_knows_has_none(waybill: Waybill) -> None:
    orchestrator, run_id, unknown = Orchestrator(), str(uuid.uuid4()), str(uuid.uuid4())
    orchestrator.has(make_run(run_id=run_id))
    with serving(orchestrator, Ledger()) as at:
        there = {"WAYBILL_ORCHESTRATOR_ADDRESS": at["WAYBILL_ORCHESTRATOR_ADDRESS"]}
        assert waybill("set", "0.50usd/run", "--run", run_id, **there).exit_code == 0
        refused = waybill("set", "0.50usd/run", "--run", unknown, **there)
        assert (refused.exit_code, "RUN_NOT_FOUND" in refused.stderr) == (4, True)
        assert "waybill runs" in refused.stderr
    assert json.loads(waybill("list", "--run", unknown, "--json").stdout) == {"budgets": []}
    assert waybill("set", "0.50usd/day", "--run", run_id).exit_code == 2
    assert "nothing limits" in waybill("list").stderr
    (found,) = json.loads(waybill("list", "--run", run_id, "--json").stdout)["budgets"]
    assert (found["run_id"], found["limit"]) == (run_id, 500_000_000)


def test_what_has_bought_something_may_have_a_budget_though_it_is_no_run(waybill: Waybill) -> None:
    migration = str(uuid.uuid4())
    ledger = Ledger()
    ledger.entries = [make_entry(migration)]
    with serving(Orchestrator(), ledger) as at:
        result = waybill("set", "0.50usd/run", "--run", migration, **at)
    # The ledger of this test has no budgets of its own: that it was asked is enough.
    assert "RUN_NOT_FOUND" not in result.stderr
    assert [one.budget.run_id for one in ledger.budgets] == [migration]


def test_nonsense_is_refused_with_what_to_do(waybill: Waybill) -> None:
    refused = waybill("set", "5usd/week")
    assert (refused.exit_code, "/month or /run: 5usd/day" in refused.stderr) == (2, True)
    refused = waybill("set", "5usd/day", "--service", "embeder")
    assert (refused.exit_code, "parser, embedder" in refused.stderr) == (5, True)
    assert waybill("show", "0").exit_code == 4


def test_only_the_operator_sets_a_budget_over_all_tenants(waybill: Waybill) -> None:
    collection = uuid.uuid4().hex
    words = ("set", "9usd/day", "--all-tenants", "--collection", collection)
    assert "OPERATOR_REQUIRED" in waybill(*words).stderr
    assert "all tenants" in waybill(*words, who="boss").stdout
    assert "nothing limits" in waybill("list").stderr
    (found,) = json.loads(waybill("list", "--json", who="boss").stdout)["budgets"]
    assert waybill("rm", found["budget_id"], who="boss").exit_code == 0


def test_the_audit_lists_who_set_and_removed_a_budget(waybill: Waybill, ledger_address: str) -> None:
    tenant = f"t{uuid.uuid4().hex[:12]}"
    budget_id = json.loads(waybill("set", "5usd/day", "--json", who=tenant).stdout)["budget_id"]
    assert waybill("rm", budget_id, who=tenant).exit_code == 0

    def audit(*words: str) -> Result:
        env = {
            "WAYBILL_LEDGER_ADDRESS": ledger_address,
            "WAYBILL_ORCHESTRATOR_ADDRESS": "x:1",
            "COLUMNS": "100",
        }
        return CliRunner().invoke(app, ["audit", *words, "--tenant", tenant], env=env)

    removed, put = json.loads(audit("--json", "--since", "2d").stdout)["events"]
    assert list(put) == documented("audit event")
    assert (put["action"], put["target"], put["caller"]) == ("budget.set", budget_id, tenant)
    assert put["detail"] == {"new_limit": "5000000000", "new_thresholds": "80"}
    assert removed["action"] == "budget.remove"
    assert [line.split()[0] for line in audit().stdout.splitlines()] == [
        "what",
        "budget.remove",
        "budget.set",
    ]
    assert "more than these 1" in audit("--limit", "1").stderr
    assert json.loads(audit("--json", "--action", "budget.set").stdout)["events"] == [put]
    assert "Nothing of that" in audit("--until", "yesterday").stderr
    assert audit("--since", "never").exit_code == 2
