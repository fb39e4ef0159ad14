"""The code beside the table of modes, cell by cell."""

from __future__ import annotations

import pytest

from services.parser.config import ParserConfig
from tests.mode_cells import BAD_KEY, CELLS, DOWN, MODES, OVER_BUDGET, REFUSED
from waybill import settings as declared
from waybill.common.v1.backend_pb2 import Mode
from waybill.runtime import semconv
from waybill.runtime.config import ConfigError
from waybill.runtime.errors import (
    Credential,
    InvalidRequest,
    Precondition,
    Quota,
    ServiceError,
    Unavailable,
    VendorContract,
)
from waybill.supabase_settings import STORAGE_BACKEND
from waybill.vendors.choosing import choose, refused_by_vendor, vendor_of

SETTING = {
    "parser": declared.PARSER_BACKEND,
    "embedder": declared.EMBEDDER_BACKEND,
    "storage": STORAGE_BACKEND,
}


@pytest.mark.parametrize(("service", "mode", "state", "backend", "reason"), CELLS)
def test_each_cell_has_its_backend_and_its_reason(
    service: str, mode: str, state: str, backend: str, reason: str
) -> None:
    choice = choose(service, MODES[mode], state)
    assert (choice.service, choice.backend, choice.reason) == (service, backend, reason)
    assert Mode.Name(choice.mode) == mode


def test_over_budget_the_policy_goes_on_locally_in_hybrid_mode_alone() -> None:
    for service, backend in (("parser", "local"), ("embedder", ""), ("storage", "supabase")):
        assert choose(service, Mode.MODE_HYBRID, OVER_BUDGET, local_over_budget=True).backend == backend
        real = choose(service, Mode.MODE_REAL, OVER_BUDGET, local_over_budget=True)
        assert real.backend == vendor_of(service)


@pytest.mark.parametrize(("service", "mode"), REFUSED)
def test_production_refuses_what_is_local_or_falls_back_to_it(service: str, mode: str) -> None:
    settings = declared.read({"WAYBILL_MODE": mode, "WAYBILL_ENV": "production"})
    settings.backend(SETTING[service])
    refused = REFUSED[service, mode]
    assert [refused in fault for fault in settings.faults] == [True] if refused else not settings.faults


def test_production_takes_hybrid_where_the_parser_is_pinned_and_then_there_is_no_fallback() -> None:
    environ = {"WAYBILL_MODE": "hybrid", "WAYBILL_ENV": "production", "PARSER_BACKEND": "llamaparse"}
    settings = declared.read(environ)
    assert settings.backend(declared.PARSER_BACKEND) == "llamaparse"
    assert not settings.faults
    assert settings.mode(declared.PARSER_BACKEND) == Mode.MODE_REAL
    assert settings.mode(declared.EMBEDDER_BACKEND) == Mode.MODE_HYBRID


def test_a_start_names_everything_that_is_missing_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        ParserConfig.from_env({"WAYBILL_MODE": "hybrid", "WAYBILL_ENV": "production"})
    for name in ("PARSER_BACKEND", "LLAMA_CLOUD_API_KEY", "WAYBILL_DATABASE_URL"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("error", "vendor"),
    [
        (Unavailable(DOWN, "", {semconv.VENDOR: "openai"}), "openai"),
        (VendorContract("VENDOR_ANSWER_INVALID", "", {semconv.VENDOR: "openai"}), "openai"),
        (Credential(BAD_KEY, "", {semconv.VENDOR: "openai"}), "openai"),
        (Quota("VENDOR_QUOTA_EXHAUSTED", "", {semconv.VENDOR: "openai"}), "openai"),
        (Precondition("VENDOR_REFUSED", "", {semconv.VENDOR: "openai"}), "openai"),
        # The document earned it, a neighbour of ours is away, or it is our own engine's.
        (InvalidRequest("VENDOR_REFUSED_TEXTS", "", {semconv.VENDOR: "openai"}), ""),
        (Unavailable("LEDGER_UNAVAILABLE", ""), ""),
        (Precondition("DOCUMENT_EMPTY", "", {semconv.VENDOR: "local"}), ""),
    ],
)
def test_only_a_vendor_that_does_not_serve_is_gone_without(error: ServiceError, vendor: str) -> None:
    assert refused_by_vendor(error) == vendor
