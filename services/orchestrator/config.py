"""The orchestrator's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.orchestrator.chunks.cutting import DEFAULT_SIZES, MAX_TOKENS, ChunkSizes
from waybill.runtime.config import Settings
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
        chunk_sizes: WAYBILL_CHUNK_TOKENS, 64 to 512, and WAYBILL_CHUNK_OVERLAP_TOKENS, at most a quarter of
            that. A document that is ingested again is cut anew where these have changed.
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
    chunk_sizes: ChunkSizes = DEFAULT_SIZES

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> OrchestratorConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = Settings(environ)
        max_tokens = settings.integer("WAYBILL_CHUNK_TOKENS", MAX_TOKENS, minimum=64, maximum=MAX_TOKENS)
        overlap_tokens = settings.integer(
            "WAYBILL_CHUNK_OVERLAP_TOKENS", 0, minimum=0, maximum=max(max_tokens, 64) // 4
        )
        config = cls(
            server=ServerConfig.read(settings, "orchestrator", 7401),
            database_url=settings.text("WAYBILL_DATABASE_URL"),
            owner_database_url=settings.text("WAYBILL_OWNER_DATABASE_URL"),
            storage_address=settings.text("WAYBILL_STORAGE_ADDRESS", "127.0.0.1:7402"),
            parser_address=settings.text("WAYBILL_PARSER_ADDRESS", "127.0.0.1:7403"),
            embedder_address=settings.text("WAYBILL_EMBEDDER_ADDRESS", "127.0.0.1:7404"),
            ledger_address=settings.text("WAYBILL_LEDGER_ADDRESS", "127.0.0.1:7405"),
            executor_id=settings.text("WAYBILL_EXECUTOR_ID", "orchestrator-1"),
            runs_in_flight=settings.integer("WAYBILL_RUNS_IN_FLIGHT", 16, minimum=1),
            tenant_runs_in_flight=settings.integer("WAYBILL_TENANT_RUNS_IN_FLIGHT", 12, minimum=1),
            tenant_unfinished_runs=settings.integer("WAYBILL_TENANT_UNFINISHED_RUNS", 5000, minimum=1),
            chunk_sizes=ChunkSizes(max_tokens, overlap_tokens),
        )
        settings.check()
        return config
