"""A gRPC server that is only healthy: `standin.py NAME PORT JOURNAL [stubborn]`."""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def main(name: str, port: str, journal: str, *habits: str) -> None:
    """Serves until SIGTERM, then writes its name into the journal; a stubborn one never ends."""
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set() if "stubborn" not in habits else None)
    server.start()
    while not asked.wait(0.1):
        pass
    with Path(journal).open("a") as output:
        output.write(f"{name}\n")
    server.stop(0).wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
