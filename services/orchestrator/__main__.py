"""Starts the orchestrator: `python -m services.orchestrator`."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

from services.orchestrator import retention
from services.orchestrator.admission import Admission
from services.orchestrator.batch.jobs import BatchJobs
from services.orchestrator.batch.tier import BatchTier
from services.orchestrator.batch.waits import BatchWaits
from services.orchestrator.budget_waits import BudgetWaits
from services.orchestrator.config import OrchestratorConfig
from services.orchestrator.control import Control
from services.orchestrator.heal_waits import HealWaits
from services.orchestrator.inventory import Inventory
from services.orchestrator.mode_servicer import ModeServicer
from services.orchestrator.mode_switch import ModeSwitch
from services.orchestrator.modes import Modes
from services.orchestrator.offers import Offers
from services.orchestrator.parse_waits import ParseWaits
from services.orchestrator.peers import Peers, connected
from services.orchestrator.pipeline import Pipeline
from services.orchestrator.planning import Plans
from services.orchestrator.runs import engine
from services.orchestrator.runs.deleting import Deletions
from services.orchestrator.runs.durable import Durable
from services.orchestrator.runs.listing import RunListing
from services.orchestrator.runs.step_log import StepLog
from services.orchestrator.runs.store import Runs
from services.orchestrator.runs.waiting import Kind, WaitPoller
from services.orchestrator.runs.waits import BATCH, BUDGET, HEAL, PARSE, SERVICE, VENDOR, Waits
from services.orchestrator.searches import Searches
from services.orchestrator.service_waits import Services, ServiceWaits
from services.orchestrator.servicer import OrchestratorServicer
from services.orchestrator.space_fills import SpaceFills
from services.orchestrator.space_migrations import SpaceMigrations
from services.orchestrator.space_servicer import SpaceMigrationServicer
from services.orchestrator.spaces import Spaces
from services.orchestrator.steps.chunking import Chunking
from services.orchestrator.steps.embedding import Embedding
from services.orchestrator.steps.parsing import Parsing
from services.orchestrator.traces.export import exporting
from services.orchestrator.traces.reading import Traces
from services.orchestrator.traces.spans import TraceServicer
from services.orchestrator.vendor_waits import Vendors, VendorWaits
from waybill import tokens
from waybill.orchestrator.v1 import mode_service_pb2_grpc as mode_rpc
from waybill.orchestrator.v1 import orchestrator_service_pb2_grpc as runs_rpc
from waybill.orchestrator.v1 import space_migration_service_pb2_grpc as space_rpc
from waybill.runtime import server
from waybill.runtime.audit import Audit, to_ledger
from waybill.runtime.clock import utc_now
from waybill.runtime.postgres import Database
from waybill.runtime.retention import pruning
from waybill.runtime.telemetry import Telemetry


@asynccontextmanager
async def build(config: OrchestratorConfig, telemetry: Telemetry) -> AsyncIterator[server.Service]:
    """Joins the orchestrator's parts."""
    # Loading the vocabulary holds the GIL for half a second: now, and not in the first run.
    tokens.count(["warm"])
    async with (
        Database.opened(config.database_url) as database,
        Database.opened(config.owner_database_url, max_size=1) as owner,
        connected(config, telemetry.tracer) as peers,
    ):
        runs = Runs(database, engine.APPLICATION_VERSION, config.tenant_unfinished_runs)
        waits = Waits(database, owner, f"orchestrator/{uuid.uuid4()}")
        modes = Modes(database, owner, peers)
        offers = Offers(peers, modes, local_over_budget=config.local_over_budget)
        step_log, spaces = StepLog(database), Spaces(peers, offers)
        services = Services(peers.healths)
        durable = Durable(runs, step_log, engine.unqueue, services.away)
        jobs = BatchJobs(database)
        batches = BatchTier(peers, runs, spaces, jobs, utc_now)
        embedding = Embedding(peers, spaces)
        chunking = Chunking(peers, spaces, embedding, config.chunk_sizes)
        pipeline = Pipeline(Parsing(peers, waits, modes), chunking, embedding, batches, modes)
        listing, searches = RunListing(database), Searches(spaces, peers)
        audit = Audit(to_ledger(peers.ledger))
        control = Control(runs, durable, pipeline, peers, Deletions(database), audit, modes)
        vendors = Vendors(peers, modes, waits, utc_now)
        kinds: dict[str, Kind] = {
            BATCH: BatchWaits(peers, jobs, batches, utc_now),
            PARSE: ParseWaits(peers, modes, vendors, utc_now),
            SERVICE: ServiceWaits(services, waits, utc_now),
            **_waits_on_others(peers, vendors, waits, control),
        }
        await engine.launch(config, durable, pipeline)
        traces = Traces(runs, step_log, peers, database)
        servicer = OrchestratorServicer(
            admission=Admission(peers, runs, spaces, config.chunk_sizes.recipe),
            plans=Plans(peers, spaces, config.chunk_sizes, utc_now),
            runs=runs,
            listing=listing,
            inventory=Inventory(peers, runs),
            control=control,
            traces=traces,
            searches=searches,
            peers=peers,
            modes=modes,
        )
        fills = SpaceFills(peers, offers, f"orchestrator/{config.executor_id}", audit)
        migrations = SpaceMigrations(peers, spaces, searches, fills, audit, utc_now)
        switch = ModeSwitch(modes, peers, offers, audit, config.operator_tenant)
        rpcs: list[server.Rpcs] = [
            (runs_rpc.add_OrchestratorServiceServicer_to_server, servicer),
            (space_rpc.add_SpaceMigrationServiceServicer_to_server, SpaceMigrationServicer(migrations)),
            (mode_rpc.add_ModeServiceServicer_to_server, ModeServicer(switch)),
            (trace_service_pb2_grpc.add_TraceServiceServicer_to_server, TraceServicer(owner)),
        ]
        try:
            async with (
                durable.looking(),
                vendors.watching(),
                fills.running(),
                WaitPoller(runs, waits, kinds, utc_now).running(),
                exporting(config.server.viewer, config.owner_database_url, traces),
                pruning(config.server.keep_days, partial(retention.turn, owner)),
            ):
                yield server.Service(
                    rpcs=rpcs,
                    backends={"orchestrator/postgres": database.ping},
                    audit=audit,
                )
        finally:
            await durable.drain()
            await asyncio.to_thread(engine.shut_down)


def _waits_on_others(peers: Peers, vendors: Vendors, waits: Waits, control: Control) -> dict[str, Kind]:
    """How a run waits for a vendor to serve again, or for room in a budget."""
    budgets = BudgetWaits(peers, utc_now)
    return {
        VENDOR: VendorWaits(vendors, waits, utc_now),
        BUDGET: budgets,
        HEAL: HealWaits(vendors, budgets, control.heal, utc_now),
    }


if __name__ == "__main__":
    settings = OrchestratorConfig.from_env(os.environ)
    server.run(settings.server, lambda telemetry: build(settings, telemetry), settings.database_url)
