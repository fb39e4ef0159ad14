"""Which backends a service was started with, and whether they can do its work in a mode: BackendService."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from waybill.common.v1 import backend_service_pb2 as pb
from waybill.common.v1 import backend_service_pb2_grpc
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime import server
from waybill.runtime.errors import InvalidRequest, Precondition
from waybill.runtime.semconv import LOCAL
from waybill.vendors.choosing import choose, needed, vendor_of


@dataclass(frozen=True)
class Backends:
    """The backends of one service's process.

    Attributes:
        service: "parser", "embedder" or "storage".
        mode: As the service is set.
        built: Their names.
        kind: What the vendor's money is; unspecified where it is not built.
        missing: Why the vendor is not built: a variable each, in words.
        lack: Why the vendor does not serve now, a name of ErrorReason; empty where it does.
    """

    service: str
    mode: Mode
    built: Sequence[str]
    kind: CostKind = CostKind.COST_KIND_UNSPECIFIED
    missing: Sequence[str] = ()
    lack: Callable[[], str] = str

    def choice(self, mode: Mode) -> BackendChoice:
        """Who does the work now.

        Args:
            mode: Unspecified: as the service is set.

        Raises:
            InvalidRequest: INVALID_REQUEST.
            Precondition: BACKEND_MISSING, LOCAL_REFUSED.
        """
        if mode not in Mode.values():
            raise InvalidRequest("INVALID_REQUEST", "mode is one of the enum's.")
        if mode:
            self._check(mode)
        return choose(self.service, mode or self.mode, self.lack())

    @property
    def settings(self) -> str:
        """The settings in words; others read otherwise."""
        mode, kind = (Mode.Name(self.mode), CostKind.Name(self.kind))
        return f"{mode}: {', '.join(sorted(self.built))}; {kind}"

    def _check(self, mode: Mode) -> None:
        lacking = needed(self.service, mode) - set(self.built)
        if LOCAL in lacking:
            # Everywhere else it is built, whatever the mode is.
            raise Precondition(
                "LOCAL_REFUSED",
                f"WAYBILL_ENV is 'production', which refuses {self.service.upper()}_BACKEND=local, and so "
                f"each mode in which the {self.service} works on this machine.",
                {"backend": LOCAL},
            )
        if lacking:
            vendor = vendor_of(self.service)
            raise Precondition(
                "BACKEND_MISSING",
                f"The {self.service} was started without its backend {vendor}: {', '.join(self.missing)}. "
                "Set that, then start it again; runs go on.",
                {"backend": vendor},
            )


class BackendServicer(backend_service_pb2_grpc.BackendServiceServicer):
    """BackendService of one service."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._started = Timestamp()
        self._started.GetCurrentTime()

    async def GetBackend(self, request: pb.GetBackendRequest, context: Any) -> pb.GetBackendResponse:
        """Answers, or refuses the mode."""
        return pb.GetBackendResponse(
            choice=self._backends.choice(request.mode),
            settings=self._backends.settings,
            vendor_kind=self._backends.kind,
            start_time=self._started,
        )


def registration(backends: Backends) -> server.Rpcs:
    """The service as `server.Service` takes it."""
    return backend_service_pb2_grpc.add_BackendServiceServicer_to_server, BackendServicer(backends)
