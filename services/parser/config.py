"""The parser's settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.parser.backends.llamaparse.config import LlamaParseConfig
from services.parser.documents import tesseract
from services.parser.documents.tesseract import Tesseract
from waybill import settings as declared
from waybill.common.v1.backend_pb2 import Mode
from waybill.money_settings import OVER_BUDGET
from waybill.runtime.server import ServerConfig
from waybill.runtime.settings import ENV


@dataclass(frozen=True)
class ParserConfig:
    """From the environment.

    Attributes:
        server: Where to serve.
        database_url: WAYBILL_DATABASE_URL, the login role waybill_parser.
        owner_database_url: WAYBILL_OWNER_DATABASE_URL, the role that sees every tenant.
        storage_address: WAYBILL_STORAGE_ADDRESS, host:port.
        ledger_address: WAYBILL_LEDGER_ADDRESS, host:port.
        backend: PARSER_BACKEND, or by WAYBILL_MODE.
        llamaparse: For that backend alone.
        missing: Why there is none, in words.
        children: WAYBILL_PARSER_CHILDREN, documents parsed at a time; one a core unless told.
        tesseract: What recognises text in scans, if it is installed: in the languages of
            WAYBILL_PARSER_OCR_LANGUAGES ("deu+eng"), in all that it has unless told, never for "none".
        mode: Of calls that name none; unspecified: the backend, and no other.
        also_local: Our own engine is built beside the vendor's.
        local_over_budget: WAYBILL_OVER_BUDGET, in hybrid mode: what a budget refuses is parsed here.
    """

    server: ServerConfig
    database_url: str
    owner_database_url: str
    storage_address: str = "127.0.0.1:7402"
    ledger_address: str = "127.0.0.1:7405"
    backend: str = "local"
    llamaparse: LlamaParseConfig | None = None
    children: int = 1
    tesseract: Tesseract | None = None
    mode: Mode = Mode.MODE_UNSPECIFIED
    also_local: bool = False
    local_over_budget: bool = False
    missing: Sequence[str] = ()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ParserConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = declared.read(environ)
        languages = settings.text(declared.PARSER_OCR_LANGUAGES)
        backend = settings.backend(declared.PARSER_BACKEND)
        vendor = backend == "llamaparse"
        if vendor and environ.get("LLAMA_CLOUD_CUSTOM_HEADERS"):
            settings.fault("LLAMA_CLOUD_CUSTOM_HEADERS would go with every request; unset it")
        config = cls(
            server=ServerConfig.read(settings, "parser", declared.FIXED_PORTS["parser"]),
            database_url=settings.text(declared.DATABASE_URL),
            owner_database_url=settings.text(declared.OWNER_DATABASE_URL),
            storage_address=settings.text(declared.ADDRESSES["storage"]),
            ledger_address=settings.text(declared.ADDRESSES["ledger"]),
            backend=backend,
            llamaparse=LlamaParseConfig.read(settings) if vendor else None,
            children=settings.integer(declared.PARSER_CHILDREN, os.cpu_count() or 1),
            tesseract=None if languages == "none" else tesseract.installed(languages, environ),
            mode=settings.mode(declared.PARSER_BACKEND),
            # For hybrid mode, also where it is switched to later.
            also_local=vendor and settings.text(ENV) != "production",
            local_over_budget=settings.choice(OVER_BUDGET) == "local",
            missing=() if vendor else settings.lacking(declared.PARSER_BACKEND, LlamaParseConfig.read),
        )
        settings.check()
        return config
