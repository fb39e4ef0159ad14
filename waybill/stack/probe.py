"""Asks a server how it is: grpc.health.v1.

`python -m waybill.stack.probe HOST:PORT` exits 0 where it is SERVING; a container's health check.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVING = "SERVING"
NOT_SERVING = "NOT_SERVING"
UNREACHABLE = "UNREACHABLE"
UNKNOWN = "SERVICE_UNKNOWN"
TIMEOUT_SECONDS = 1.0


def check(address: str, name: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """The status of a server, or of one service or backend of it.

    Args:
        address: host:port.
        name: "" for the whole, a full RPC service name, or `<svc>/<backend>`.
        timeout_seconds: How long to wait for the answer.

    Returns:
        The status' name; UNREACHABLE when no answer came.
    """
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=name)
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            return UNKNOWN if error.code() is grpc.StatusCode.NOT_FOUND else UNREACHABLE
    return _word(answer.status)


def check_all(address: str) -> Mapping[str, str]:
    """Every name that a server answers for, with its status; `""` is the whole."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).List(
                health_pb2.HealthListRequest(), timeout=TIMEOUT_SECONDS
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:  # a server that does not list its names
                return {"": check(address)}
            return {"": UNREACHABLE}
    return {name: _word(status.status) for name, status in sorted(answer.statuses.items())}


def _word(status: int) -> str:
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


if __name__ == "__main__":
    sys.exit(check(sys.argv[1]) != SERVING)
