"""ModeService: request → switch → response."""

from __future__ import annotations

from typing import Any

from services.orchestrator.mode_switch import ModeSwitch
from waybill.orchestrator.v1 import mode_service_pb2 as pb
from waybill.orchestrator.v1 import mode_service_pb2_grpc


class ModeServicer(mode_service_pb2_grpc.ModeServiceServicer):
    """The RPCs of modes."""

    def __init__(self, switch: ModeSwitch) -> None:
        self._switch = switch

    async def GetMode(self, request: pb.GetModeRequest, context: Any) -> pb.GetModeResponse:
        """Says what holds."""
        return pb.GetModeResponse(services=await self._switch.get())

    async def SetMode(self, request: pb.SetModeRequest, context: Any) -> pb.SetModeResponse:
        """Switches."""
        services = await self._switch.set(request.services, request.mode, request.vendor_kind)
        return pb.SetModeResponse(services=services)
