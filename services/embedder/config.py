"""The embedder's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from waybill import openai_settings as own
from waybill import settings as declared
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.cost_pb2 import CostKind
from waybill.limits import REQUEST_TOKENS
from waybill.runtime.config import Settings
from waybill.runtime.server import ServerConfig
from waybill.runtime.settings import ENV, MODE
from waybill.vendors.keys import Keys
from waybill.vendors.registry import OPENAI

# Of OpenAI's models, by name; their tokens are counted here exactly as there.
OPENAI_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}


@dataclass(frozen=True)
class OpenAIConfig:
    """How to reach OpenAI, or a server that is compatible with it.

    Attributes:
        keys: OPENAI_API_KEY and, while it is rotated, OPENAI_API_KEY_NEXT; or OPENAI_API_KEY_FILE, a key
            a line, read again when it changes.
        kind: What its money is: simulated under WAYBILL_MODE=simulator.
        base_url: OPENAI_BASE_URL, with its /v1.
        model: OPENAI_MODEL, as the vendor spells it.
        dimensions: OPENAI_DIMENSIONS; 0 is the model's own.
        organization: OPENAI_ORGANIZATION, sent along where set.
        project: OPENAI_PROJECT, the same.
        request_tokens: OPENAI_REQUEST_TOKENS, what a request is packed to; larger only where requests
            per minute bind.
        concurrency: OPENAI_CONCURRENCY, requests of runs under way at a time; questions have as many beside.
        attempt_seconds: OPENAI_ATTEMPT_SECONDS, the longest that one attempt may take.
    """

    keys: Keys
    kind: CostKind
    base_url: str = OPENAI.base_url
    model: str = OPENAI.default_subject
    dimensions: int = 0
    organization: str = ""
    project: str = ""
    request_tokens: int = REQUEST_TOKENS
    concurrency: int = 8
    attempt_seconds: float = 20.0

    @classmethod
    def read(cls, settings: Settings) -> OpenAIConfig:
        """From the environment; what is missing is told by `settings.check`."""
        file = settings.text(own.OPENAI_API_KEY_FILE)
        first = settings.text(own.OPENAI_API_KEY, "" if file else None)
        simulated = settings.text(MODE) == "simulator"
        config = cls(
            keys=Keys([first, settings.text(own.OPENAI_API_KEY_NEXT)], Path(file) if file else None),
            kind=CostKind.COST_KIND_SIMULATED if simulated else CostKind.COST_KIND_REAL,
            base_url=settings.text(own.OPENAI_BASE_URL, "" if simulated else None),
            model=settings.text(own.OPENAI_MODEL),
            dimensions=settings.integer(own.OPENAI_DIMENSIONS),
            organization=settings.text(own.OPENAI_ORGANIZATION),
            project=settings.text(own.OPENAI_PROJECT),
            request_tokens=settings.integer(own.OPENAI_REQUEST_TOKENS),
            concurrency=settings.integer(own.OPENAI_CONCURRENCY),
            attempt_seconds=settings.integer(own.OPENAI_ATTEMPT_SECONDS),
        )
        config._judge(settings)
        return config

    @property
    def dimension(self) -> int:
        """Numbers in each vector."""
        return self.dimensions or OPENAI_DIMENSIONS.get(self.model, 0)

    def _judge(self, settings: Settings) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            settings.fault("OPENAI_BASE_URL must be an http or https address; simulator mode has no default")
        if "@" in self.base_url:
            settings.fault("OPENAI_BASE_URL holds a password; keys belong in OPENAI_API_KEY or its file")
        if not self.dimension:
            settings.fault(f"OPENAI_DIMENSIONS is not set, and {self.model} is no model of OpenAI's")


@dataclass(frozen=True)
class EmbedderConfig:
    """From the environment.

    Attributes:
        server: Where to serve.
        ledger_address: WAYBILL_LEDGER_ADDRESS, host:port.
        backend: EMBEDDER_BACKEND, or by WAYBILL_MODE.
        openai: For that backend alone, or where it is `also` served.
        local_model: EMBEDDER_LOCAL_MODEL, for the local one alone: empty for word vectors, `sentences`, or
            the full path of a folder with an ONNX model and its tokenizer.json.
        also: EMBEDDER_ALSO, a vendor whose models are served beside the local ones; empty: none.
        mode: Of calls that name none; unspecified: the backend, and no other.
        also_local: The local model is served beside a vendor's; it is made when it is first asked for.
        missing: Why OpenAI's backend is not served, in words.
    """

    server: ServerConfig
    ledger_address: str
    backend: str
    openai: OpenAIConfig | None = None
    local_model: str = ""
    also: str = ""
    mode: Mode = Mode.MODE_UNSPECIFIED
    also_local: bool = False
    missing: Sequence[str] = ()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> EmbedderConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = declared.read(environ)
        backend = settings.backend(declared.EMBEDDER_BACKEND)
        also = settings.choice(declared.EMBEDDER_ALSO)
        vendor = "openai" in (backend, also)
        config = cls(
            server=ServerConfig.read(settings, "embedder", declared.FIXED_PORTS["embedder"]),
            ledger_address=settings.text(declared.ADDRESSES["ledger"]),
            backend=backend,
            openai=OpenAIConfig.read(settings) if vendor else None,
            local_model=settings.text(declared.EMBEDDER_LOCAL_MODEL),
            also="" if also in ("none", backend) else also,
            mode=settings.mode(declared.EMBEDDER_BACKEND),
            also_local=settings.text(ENV) != "production",
            missing=() if vendor else settings.lacking(declared.EMBEDDER_BACKEND, OpenAIConfig.read),
        )
        settings.check()
        return config
