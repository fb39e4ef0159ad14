"""The 24 scenarios in each mode."""

from __future__ import annotations

import pytest

from tests.scenarios.scenarios import SCENARIOS, Scenario
from tests.scenarios.stand import LIVE, LOCAL, SIMULATOR, Stand

pytestmark = pytest.mark.slow

MODES = (LOCAL, SIMULATOR, LIVE)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.title)
def test_scenario(mode: str, scenario: Scenario, at: Stand) -> None:
    assert at.mode == mode
    scenario.check(at)


def test_the_24_are_those_of_the_seeds_script() -> None:
    assert [(one.group, one.name) for one in SCENARIOS] == [
        ("Storage", "bucket_operations"), ("Storage", "health_check"), ("Storage", "file_upload"),
        ("Storage", "file_download"), ("Storage", "signed_urls"), ("Storage", "file_metadata"),
        ("LlamaParse", "health_check"), ("LlamaParse", "api_connectivity"), ("LlamaParse", "rate_limiting"),
        ("LlamaParse", "error_handling"), ("OpenAI", "health_check"), ("OpenAI", "api_connectivity"),
        ("OpenAI", "models_endpoint"), ("OpenAI", "embedding_generation"), ("OpenAI", "rate_limiting"),
        ("OpenAI", "cost_tracking"), ("E2E", "storage_to_llamaparse"), ("E2E", "llamaparse_to_openai"),
        ("E2E", "complete_workflow"), ("E2E", "error_recovery"), ("Cost", "cost_monitoring"),
        ("Cost", "budget_enforcement"), ("Cost", "usage_tracking"), ("Cost", "cost_optimization"),
    ]  # fmt: skip
