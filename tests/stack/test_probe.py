"""Health, asked of servers that list their names and of those that do not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.runtime.errors import Unavailable
from waybill.stack import operate, probe, state
from waybill.stack.home import Home
from waybill.stack.operate import Stack
from waybill.stack.ports import free_ports
from waybill.stack.process import Process
from waybill.stack.state import Phase, StackState
from waybill.stack.table import SERVICES

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

LOCAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Listing(health.HealthServicer):  # type: ignore[misc]
    """A servicer that lists two names."""

    def List(  # noqa: N802 the RPC's name
        self, request: health_pb2.HealthListRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthListResponse:
        statuses = {"": SERVING, "parser/local": NOT_SERVING}
        answers = {name: health_pb2.HealthCheckResponse(status=status) for name, status in statuses.items()}
        return health_pb2.HealthListResponse(statuses=answers)


@contextmanager
def server(servicer: health.HealthServicer) -> Iterator[str]:
    servicer.set("", SERVING)
    servicer.set("parser/local", NOT_SERVING)
    running = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, running)
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        running.stop(None).wait()


def test_a_server_and_its_backends_answer_each_for_themselves() -> None:
    with server(health.HealthServicer()) as address:
        for name, word in (
            ("", "SERVING"),
            ("parser/local", "NOT_SERVING"),
            ("parser/absent", "SERVICE_UNKNOWN"),
        ):
            assert probe.check(address, name, PATIENCE_SECONDS) == word


def test_every_name_is_listed_where_the_server_lists_them() -> None:
    with server(Listing()) as address:
        answers = {"": "SERVING", "parser/local": "NOT_SERVING"}
        eventually(
            lambda: probe.check_all(address) == answers, "both are told: a look takes a second at most"
        )


def test_a_server_that_does_not_list_answers_for_the_whole() -> None:
    with server(health.HealthServicer()) as address:
        eventually(lambda: probe.check_all(address) == {"": "SERVING"}, "it serves")


def test_nobody_there_is_unreachable() -> None:
    (port,) = free_ports(1)
    assert probe.check(f"127.0.0.1:{port}") == "UNREACHABLE"
    assert probe.check_all(f"127.0.0.1:{port}") == {"": "UNREACHABLE"}


@pytest.mark.skipif(not LOCAL_PORTS.exists(), reason="Linux tells its range here")
def test_free_ports_are_none_that_the_system_gives_to_whoever_asks_for_any() -> None:
    lowest = int(LOCAL_PORTS.read_text().split()[0])
    found = free_ports(50)
    assert len(set(found)) == 50
    assert max(found) < lowest


def test_a_containers_health_check_ends_with_0_where_the_server_is_serving_alone() -> None:
    def exit_code(address: str) -> int:
        return subprocess.run([sys.executable, "-P", "-m", "waybill.stack.probe", address]).returncode

    with server(health.HealthServicer()) as address:
        eventually(lambda: exit_code(address) == 0, "it serves")
    assert exit_code(address) == 1


def test_a_stack_whose_services_do_not_work_is_not_up(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    servicer = Listing()
    with server(servicer) as where:
        servicer.set("", NOT_SERVING)
        addresses = {**dict.fromkeys(SERVICES, where), "postgres": "127.0.0.1:1"}
        state.write(home, StackState(Process.of(os.getpid()), Phase.SERVING, addresses))
        with pytest.raises(Unavailable, match=r"STACK_NOT_SERVING: .* parser, .*parser/local") as caught:
            operate.check(home, Stack(addresses, started=True), seconds=0)
    assert "storage" in caught.value.message
