"""The orchestrator's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.orchestrator.chunks.cutting import DEFAULT_SIZES, ChunkSizes
from waybill import settings as declared
from waybill.money_settings import OVER_BUDGET
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.runtime.server import ServerConfig


@dataclass(frozen=True)
class OrchestratorConfig:
    """From the environment.

    Attributes:
        server: Where to serve.
        database_url: WAYBILL_DATABASE_URL, the login role waybill_orchestrator; the engine uses it too.
        owner_database_url: WAYBILL_OWNER_DATABASE_URL, the role that sees every tenant.
        storage_address, parser_address, embedder_address, ledger_address: host:port.
        executor_id: WAYBILL_EXECUTOR_ID; stable, so that a restart takes its own runs again.
        runs_in_flight: WAYBILL_RUNS_IN_FLIGHT, documents worked on at a time.
        tenant_runs_in_flight: WAYBILL_TENANT_RUNS_IN_FLIGHT, the same for one tenant.
        tenant_unfinished_runs: WAYBILL_TENANT_UNFINISHED_RUNS, queued or worked on; more are refused.
        local_over_budget: WAYBILL_OVER_BUDGET, in hybrid mode: what a budget refuses is done without vectors.
        operator_tenant: WAYBILL_OPERATOR_TENANT, whose callers switch the mode.
        chunk_sizes: WAYBILL_CHUNK_TOKENS and WAYBILL_CHUNK_OVERLAP_TOKENS; part of a version's recipe.
    """

    server: ServerConfig
    database_url: str
    owner_database_url: str
    storage_address: str
    parser_address: str
    embedder_address: str
    ledger_address: str
    executor_id: str
    runs_in_flight: int
    tenant_runs_in_flight: int
    tenant_unfinished_runs: int
    local_over_budget: bool = False
    chunk_sizes: ChunkSizes = DEFAULT_SIZES
    operator_tenant: str = DEFAULT_TENANT

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> OrchestratorConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = declared.read(environ)
        max_tokens = settings.integer(declared.CHUNK_TOKENS)
        overlap_tokens = settings.integer(declared.CHUNK_OVERLAP_TOKENS, maximum=max(max_tokens, 64) // 4)
        config = cls(
            server=ServerConfig.read(settings, "orchestrator", declared.FIXED_PORTS["orchestrator"]),
            database_url=settings.text(declared.DATABASE_URL),
            owner_database_url=settings.text(declared.OWNER_DATABASE_URL),
            storage_address=settings.text(declared.ADDRESSES["storage"]),
            parser_address=settings.text(declared.ADDRESSES["parser"]),
            embedder_address=settings.text(declared.ADDRESSES["embedder"]),
            ledger_address=settings.text(declared.ADDRESSES["ledger"]),
            executor_id=settings.text(declared.EXECUTOR_ID),
            runs_in_flight=settings.integer(declared.RUNS_IN_FLIGHT),
            tenant_runs_in_flight=settings.integer(declared.TENANT_RUNS_IN_FLIGHT),
            tenant_unfinished_runs=settings.integer(declared.TENANT_UNFINISHED_RUNS),
            local_over_budget=settings.choice(OVER_BUDGET) == "local",
            chunk_sizes=ChunkSizes(max_tokens, overlap_tokens),
            operator_tenant=settings.text(declared.OPERATOR_TENANT),
        )
        settings.check()
        return config
