"""The embedder's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from waybill.runtime.config import Settings
from waybill.runtime.server import ServerConfig


@dataclass(frozen=True)
class EmbedderConfig:
    """From the environment.

    Attributes:
        server: Where to serve.
        ledger_address: WAYBILL_LEDGER_ADDRESS, host:port.
        backend: EMBEDDER_BACKEND, or by WAYBILL_MODE.
    """

    server: ServerConfig
    ledger_address: str
    backend: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> EmbedderConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = Settings(environ)
        config = cls(
            server=ServerConfig.read(settings, "embedder", 7404),
            ledger_address=settings.text("WAYBILL_LEDGER_ADDRESS", "127.0.0.1:7405"),
            backend=settings.backend("EMBEDDER_BACKEND", ("local",)),
        )
        settings.check()
        return config
