"""SpaceMigrationService: request → migrations → response."""

from __future__ import annotations

from typing import Any

from services.orchestrator.space_migrations import SpaceMigrations
from waybill.orchestrator.v1 import space_migration_service_pb2 as pb
from waybill.orchestrator.v1 import space_migration_service_pb2_grpc


class SpaceMigrationServicer(space_migration_service_pb2_grpc.SpaceMigrationServiceServicer):
    """The RPCs of migrations."""

    def __init__(self, migrations: SpaceMigrations) -> None:
        self._migrations = migrations

    async def PlanMigration(self, request: pb.PlanMigrationRequest, context: Any) -> pb.PlanMigrationResponse:
        """Plans one."""
        plan, searched = await self._migrations.plan(request.collection, request.model, request.dimension)
        return pb.PlanMigrationResponse(plan=plan, searched=searched)

    async def StartMigration(
        self, request: pb.StartMigrationRequest, context: Any
    ) -> pb.StartMigrationResponse:
        """Begins one."""
        return pb.StartMigrationResponse(
            migration=await self._migrations.start(request.collection, request.space)
        )

    async def GetMigration(self, request: pb.GetMigrationRequest, context: Any) -> pb.GetMigrationResponse:
        """Reads one."""
        migration, missing = await self._migrations.get(request.collection)
        return pb.GetMigrationResponse(migration=migration, missing=missing)

    async def TrySpaces(self, request: pb.TrySpacesRequest, context: Any) -> pb.TrySpacesResponse:
        """Asks in both spaces."""
        searched, beside = await self._migrations.tried(request)
        return pb.TrySpacesResponse(searched=searched, beside=beside)

    async def SwitchSearches(
        self, request: pb.SwitchSearchesRequest, context: Any
    ) -> pb.SwitchSearchesResponse:
        """Changes over."""
        return pb.SwitchSearchesResponse(
            migration=await self._migrations.move(request.collection, back=False)
        )

    async def RollBackSearches(
        self, request: pb.RollBackSearchesRequest, context: Any
    ) -> pb.RollBackSearchesResponse:
        """Goes back."""
        return pb.RollBackSearchesResponse(
            migration=await self._migrations.move(request.collection, back=True)
        )

    async def FinishMigration(
        self, request: pb.FinishMigrationRequest, context: Any
    ) -> pb.FinishMigrationResponse:
        """Ends one."""
        return pb.FinishMigrationResponse(migration=await self._migrations.finish(request.collection))
