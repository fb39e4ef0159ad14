"""All five services in this process, each with its own roles on one database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from services.embedder.__main__ import build as build_embedder
from services.embedder.config import EmbedderConfig, OpenAIConfig
from services.ledger.__main__ import build as build_ledger
from services.ledger.config import LedgerConfig
from services.ledger.retries import RetryBudget
from services.orchestrator.__main__ import build as build_orchestrator
from services.orchestrator.config import OrchestratorConfig
from services.parser.__main__ import Chosen, assembled
from services.parser.__main__ import build as build_parser
from services.parser.backends.llamaparse.config import LlamaParseConfig
from services.parser.backends.port import Parser
from services.parser.config import ParserConfig
from services.parser.documents.limits import DEFAULT_LIMITS
from services.storage.__main__ import build as build_storage
from services.storage.backends.supabase.config import SupabaseConfig
from services.storage.config import LinksConfig, StorageConfig
from tests.conftest import MigratedPostgres
from tests.inprocess import Recorder, served, server_config
from waybill.common.v1.backend_pb2 import Mode
from waybill.runtime.auth_settings import AuthConfig
from waybill.vendors.retrying import Policy


@dataclass(frozen=True)
class Vendors:
    """The vendors that the services have, and the mode that they start in; none: local backends."""

    mode: Mode = Mode.MODE_UNSPECIFIED
    openai: OpenAIConfig | None = None
    llamaparse: LlamaParseConfig | None = None
    supabase: SupabaseConfig | None = None
    local_over_budget: bool = False
    retries: RetryBudget = field(default_factory=RetryBudget)
    policy: Policy | None = None
    # In place of the parser's own.
    engine: Parser | None = None
    also_local: bool = True
    # Why there are none, in words.
    missing: tuple[str, ...] = ()


@asynccontextmanager
async def everything(
    database: MigratedPostgres,
    folder: Path,
    auth: AuthConfig | None = None,
    recorder: Recorder | None = None,
    vendors: Vendors = Vendors(),
) -> AsyncIterator[Mapping[str, str]]:
    """All five services; their addresses by name."""
    async with all_but_orchestrator(database, folder, auth, recorder, vendors) as at:
        config = OrchestratorConfig(
            server_config("orchestrator", auth),
            database.url("orchestrator"), database.owner_url("orchestrator"),
            at["storage"], at["parser"], at["embedder"], at["ledger"], "fuzz", 4, 4, 5_000,
            vendors.local_over_budget,
        )  # fmt: skip
        build = partial(build_orchestrator, config)
        async with served("orchestrator", build, recorder, auth) as address:
            yield {**at, "orchestrator": address}


@asynccontextmanager
async def all_but_orchestrator(
    database: MigratedPostgres,
    folder: Path,
    auth: AuthConfig | None = None,
    recorder: Recorder | None = None,
    vendors: Vendors = Vendors(),
) -> AsyncIterator[Mapping[str, str]]:
    """The four services that it calls; their addresses by name."""

    def urls(name: str) -> tuple[str, str]:
        return database.url(name), database.owner_url(name)

    async with AsyncExitStack() as stack:
        at: dict[str, str] = {}

        async def serve(name: str, build: Any, config: Any) -> None:
            built = partial(build, config)
            at[name] = await stack.enter_async_context(served(name, built, recorder, auth))

        ledger = LedgerConfig(server_config("ledger", auth), *urls("ledger"), retries=vendors.retries)
        await serve("ledger", build_ledger, ledger)
        storage = StorageConfig(
            server_config("storage", auth),
            *urls("storage"),
            folder,
            vendors.supabase,
            links=LinksConfig("127.0.0.1:0"),
            ledger_address=at["ledger"],
        )
        await serve("storage", build_storage, storage)
        llamaparse = vendors.llamaparse
        parser = ParserConfig(
            server_config("parser", auth), *urls("parser"), at["storage"], at["ledger"],
            "llamaparse" if llamaparse else "local", llamaparse, mode=vendors.mode,
            also_local=llamaparse is not None and vendors.also_local,
            local_over_budget=vendors.local_over_budget, missing=vendors.missing,
        )  # fmt: skip
        own = Chosen(vendors.engine, DEFAULT_LIMITS, {}) if vendors.engine else None
        build = partial(assembled, chosen=own) if own else partial(build_parser, policy=vendors.policy)
        await serve("parser", build, parser)
        openai = vendors.openai
        embedder = EmbedderConfig(
            server_config("embedder", auth), at["ledger"], "openai" if openai else "local", openai,
            mode=vendors.mode, also_local=vendors.also_local, missing=vendors.missing,
        )  # fmt: skip
        await serve("embedder", partial(build_embedder, policy=vendors.policy), embedder)
        yield at
