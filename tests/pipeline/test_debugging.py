"""What a person with grpcurl or buf curl has: reflection, health, and errors that say what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.workbench import Workbench
from tests.waiting import PATIENCE_SECONDS
from waybill.stack import probe, state

pytestmark = pytest.mark.slow

BUF = Path(sys.executable).with_name("buf")
SERVICES: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "orchestrator": {"waybill.orchestrator.v1.OrchestratorService": ("ListRuns", {})},
    "storage": {
        "waybill.storage.v1.ObjectStorageService": ("StatObject", {"key": "nothing"}),
        "waybill.storage.v1.DocumentIndexService": ("Search", {"query": "x", "mode": "MODE_TEXT"}),
    },
    "parser": {
        "waybill.parser.v1.ParserService": ("GetParseJob", {"jobId": "00000000-0000-7000-8000-000000000000"})
    },
    "embedder": {"waybill.embedder.v1.EmbedderService": ("Embed", {})},
    "ledger": {"waybill.ledger.v1.LedgerService": ("ListEntries", {})},
}
BACKENDS = {
    "orchestrator": ["orchestrator/postgres"],
    "storage": ["storage/local", "storage/postgres"],
    "parser": ["parser/local"],
    "embedder": ["embedder/local"],
    "ledger": ["ledger/postgres"],
}


def address(bench: Workbench, service: str) -> str:
    found = state.read(bench.home)
    assert found is not None
    return found.addresses[service]


def curl(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(BUF), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *words]
    environment = {"HOME": str(folder), "BUF_CACHE_DIR": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=environment, check=False
    )


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_listed_and_called_by_reflection_alone(bench: Workbench, service: str) -> None:
    url = f"http://{address(bench, service)}"
    listed = curl(bench.folder, "--list-methods", url)
    for name, (method, request) in SERVICES[service].items():
        assert f"{name}/{method}" in listed.stdout, listed.stderr
        called = curl(bench.folder, "-d", json.dumps(request), f"{url}/{name}/{method}")
        if called.returncode:
            answer = json.loads(called.stderr or called.stdout)
            assert answer["code"] == "not_found"
            assert answer["details"][0]["value"] or answer["details"][0]["debug"]["reason"].endswith(
                "_NOT_FOUND"
            )
        else:
            json.loads(called.stdout)


@pytest.mark.parametrize("service", BACKENDS)
def test_health_answers_for_the_server_each_service_and_each_backend(bench: Workbench, service: str) -> None:
    for name in ("", *SERVICES[service], *BACKENDS[service]):
        assert probe.check(address(bench, service), name, PATIENCE_SECONDS) == probe.SERVING, name
    assert probe.check(address(bench, service), "no.such.Service", PATIENCE_SECONDS) == probe.UNKNOWN
