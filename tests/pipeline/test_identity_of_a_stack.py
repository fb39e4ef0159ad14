"""Who may call a whole stack: by its own token where that costs money, by TLS and users' tokens from afar."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from tests import certificates
from tests.conftest import open_folder
from tests.issuer import Issuer, Key
from tests.pipeline.workbench import Workbench, started
from tests.waiting import eventually
from waybill.client import Client, connect
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceRequest, ListRunsRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import Credential, NotFound, Precondition
from waybill.sim.remote import Remote
from waybill.stack import exposing, operate, ports
from waybill.stack.home import Home

pytestmark = pytest.mark.slow

# None of the names of loopback, and yet nobody else's: what listens there listens beyond loopback.
BEYOND = "127.0.0.2"
TEXT = b"# Otters\n\nOtters sleep holding hands.\n"


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `waybill`, with none of our own settings but these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "waybill.cli", *words],
        capture_output=True, text=True, env=clean | environment, timeout=120,
    )  # fmt: skip


def left_behind(home: Home) -> str:
    """All that a stack has written where others read it: logs, its state, and every row."""
    found = operate.running(home)
    assert found is not None
    files = [*home.logs.rglob("*"), home.state]
    texts = [file.read_text(errors="replace") for file in files if file.is_file()]
    with psycopg.connect(operate.admin_url(home, found)) as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname like 'waybill%' or schemaname = 'dbos'"
        ).fetchall()
        for (table,) in tables:
            texts += [row for (row,) in connection.execute(f"select t::text from {table} t")]  # noqa: S608
    return "\n".join(texts)


def test_a_stack_that_costs_money_asks_for_its_token_which_its_own_user_need_not_know(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, openai_simulator: Remote
) -> None:
    home = Home(open_folder(tmp_path_factory) / "stack")
    real = {
        "EMBEDDER_BACKEND": "openai",
        "OPENAI_BASE_URL": openai_simulator.base_url,
        "OPENAI_API_KEY": openai_simulator.key,
    }
    with started(home, "local", **real):
        found = operate.running(home)
        assert found is not None
        token = home.token.read_text()
        assert stat.S_IMODE(home.token.stat().st_mode) == 0o600
        ours, theirs = {"WAYBILL_HOME": str(home.folder)}, {"WAYBILL_HOME": str(tmp_path / "theirs")}
        with connect(found.addresses, tenant="acme", environ=ours) as client:
            run = Workbench(home, "acme", client, tmp_path).ingest(file(tmp_path))
            assert (run.state, run.subject, run.credential_id) == (Run.STATE_READY, "", "stack-token")
        for environ, reason in (
            (theirs, "TOKEN_MISSING"),
            ({**theirs, "WAYBILL_TOKEN": f"{token}x"}, "TOKEN_INVALID"),
        ):
            with connect(found.addresses, environ=environ) as client, pytest.raises(Credential) as caught:
                client.orchestrator.ListRuns(ListRunsRequest())
            assert caught.value.reason == reason
            assert token not in caught.value.message
        listed = command("runs", "--tenant", "acme", "--json", **ours)
        assert [one["run_id"] for one in json.loads(listed.stdout)["runs"]] == [run.run_id]
        assert run.run_id in command("call", "orchestrator", "ListRuns", "--tenant", "acme", **ours).stdout
        refused = command("--token", "wrong", "runs", **ours)
        assert (refused.returncode, "TOKEN_INVALID" in refused.stderr) == (8, True)
        assert token not in left_behind(home)
        assert home.service_secret() not in left_behind(home)


def file(folder: Path) -> Path:
    path = folder / "otters.md"
    path.write_bytes(TEXT)
    return path


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer([Key.made("key-1")]).served() as issuer:
        yield issuer


def test_a_stack_that_others_reach_speaks_tls_and_takes_the_tenant_from_the_token(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, issuer: Issuer
) -> None:
    home = Home(open_folder(tmp_path_factory) / "stack")
    made = certificates.made(tmp_path, BEYOND)
    first = free_run_of_ports(len(exposing.SERVICES))
    settings = {
        "WAYBILL_BIND": f"{BEYOND}:{first}",
        "WAYBILL_AUTH": "jwt",
        "WAYBILL_JWT_ISSUER": issuer.config.issuer,
        "WAYBILL_JWT_JWKS_URL": issuer.url,
        "WAYBILL_TLS_CERT_FILE": str(made.certificate),
        "WAYBILL_TLS_KEY_FILE": str(made.key),
    }
    token, other = issuer.token("acme", "alice"), issuer.token("other", "mallory")
    with started(home, "local", **settings):
        found = operate.running(home)
        assert found is not None
        where = {name: f"https://{BEYOND}:{first + place}" for place, name in enumerate(exposing.SERVICES)}
        with client(where, made.authority, token) as mine, client(where, made.authority, other) as theirs:
            run = Workbench(home, "acme", mine, tmp_path).ingest(file(tmp_path))
            assert (run.state, run.subject, run.credential_id) == (Run.STATE_READY, "alice", "key-1")
            with pytest.raises(NotFound):
                theirs.orchestrator.GetTrace(GetTraceRequest(run_id=run.run_id))
            eventually(lambda: spans(mine, run) >= {"parser", "embedder", "storage"}, "the services' spans")
        remote = {f"WAYBILL_{name.upper()}_ADDRESS": address for name, address in where.items()}
        remote |= {"WAYBILL_TLS_CA_FILE": str(made.authority), "WAYBILL_TOKEN": token}
        bill = command("bill", run.run_id, **remote)
        assert bill.returncode == 0, bill.stderr
        closed = [found.addresses[name] for name in found.addresses if name not in exposing.SERVICES]
        assert not [one for one in closed if answers(f"{BEYOND}:{one.rpartition(':')[2]}")]
        refused = command("runs", WAYBILL_HOME=str(home.folder), WAYBILL_TOKEN_FILE=str(made.key))
        assert refused.returncode == 8
        written = left_behind(home) + bill.stdout + bill.stderr + refused.stdout + refused.stderr
        pem = made.key.read_text().splitlines()[1]
        for secret in (token, other, token.rpartition(".")[2], home.service_secret(), pem):
            assert secret not in written


def client(where: Mapping[str, str], ca: Path, token: str) -> Client:
    """A client of another machine, which has no stack."""
    nowhere = dict.fromkeys(("parser", "embedder"), f"{BEYOND}:1")
    return connect({**where, **nowhere}, ca=ca, token=token, environ={})


def spans(of: Client, run: Run) -> set[str]:
    """Which services the run's trace has spans of."""
    answer = of.orchestrator.GetTrace(GetTraceRequest(run_id=run.run_id))
    return {span.service for trace in answer.traces for span in trace.spans}


def answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1.0).close()
    except OSError:
        return False
    return True


def free_run_of_ports(count: int) -> int:
    """The first of some free ports in a row."""
    while True:
        (first,) = ports.free_ports(1)
        try:
            exposing.check_free({str(place): f"{BEYOND}:{first + place}" for place in range(count)})
        except Precondition:
            continue  # one is taken
        return first
