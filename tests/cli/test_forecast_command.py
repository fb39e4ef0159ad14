"""`waybill forecast`: past days from the ledger, real and simulated money apart."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tests.cli.conftest import Waybill
from tests.cli.fakes import Ledger
from tests.cli.test_commands import documented
from tests.cli.test_report_command import a_line
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.ledger_service_pb2 import ReportResponse
from waybill.ledger.v1.report_pb2 import ReportLine


def test_a_forecast_keeps_real_and_simulated_money_apart(waybill: Waybill, ledger: Ledger) -> None:
    today = datetime.now(UTC).date()
    days = [str(today - timedelta(days=back)) for back in range(10, 0, -1)]
    lines: list[ReportLine] = [
        *(a_line(group=day, settled_nano_usd=900, adjusted_nano_usd=100) for day in days),
        *(a_line(group=day, kind=CostKind.COST_KIND_LOCAL, settled_nano_usd=0) for day in days),
        a_line(group=days[-1], kind=CostKind.COST_KIND_SIMULATED, settled_nano_usd=70),
        a_line(group=str(today), settled_nano_usd=5),
    ]
    in_order: list[ReportLine] = sorted(lines, key=lambda line: line.group)
    ledger.report = ReportResponse(lines=in_order)
    told = json.loads(waybill("forecast", "day", "--json").stdout)
    assert list(told) == documented("forecast")
    real, simulated = told["forecasts"]
    assert list(real) == documented("forecast of a kind")
    assert (real["kind"], real["spent_nano_usd"], real["days"], real["sure"]) == ("real", 5, 10, "sure")
    assert 5 <= real["expected_nano_usd"] == real["low_nano_usd"] == real["high_nano_usd"] <= 1_005
    assert (simulated["kind"], simulated["days"], simulated["sure"]) == ("simulated", 1, "unsure")
    assert simulated["low_nano_usd"] is None
    asked = ledger.asked[-1]
    assert asked.until.seconds - asked.since.seconds == 29 * 86_400


def test_without_a_past_it_says_that_there_is_no_forecast(waybill: Waybill, ledger: Ledger) -> None:
    ledger.report = ReportResponse()
    shown = waybill("forecast").stdout
    assert "no forecast: nothing was bought" in shown
    assert "8 times of 10" not in shown


def test_a_window_that_is_none_is_refused(waybill: Waybill, ledger: Ledger) -> None:
    assert waybill("forecast", "year").exit_code == 2
    assert not ledger.asked
