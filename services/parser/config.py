"""The parser's settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.parser.documents import tesseract
from services.parser.documents.tesseract import Tesseract
from waybill.runtime.config import Settings
from waybill.runtime.server import ServerConfig


@dataclass(frozen=True)
class ParserConfig:
    """From the environment.

    Attributes:
        server: Where to serve.
        database_url: WAYBILL_DATABASE_URL, the login role waybill_parser.
        owner_database_url: WAYBILL_OWNER_DATABASE_URL, the role that sees every tenant.
        storage_address: WAYBILL_STORAGE_ADDRESS, host:port.
        ledger_address: WAYBILL_LEDGER_ADDRESS, host:port.
        children: WAYBILL_PARSER_CHILDREN, documents parsed at a time; one a core unless told.
        tesseract: What recognises text in scans, if it is installed: in the languages of
            WAYBILL_PARSER_OCR_LANGUAGES ("deu+eng"), in all that it has unless told, never for "none".
    """

    server: ServerConfig
    database_url: str
    owner_database_url: str
    storage_address: str = "127.0.0.1:7402"
    ledger_address: str = "127.0.0.1:7405"
    children: int = 1
    tesseract: Tesseract | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ParserConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = Settings(environ)
        languages = settings.text("WAYBILL_PARSER_OCR_LANGUAGES", "")
        config = cls(
            server=ServerConfig.read(settings, "parser", 7403),
            database_url=settings.text("WAYBILL_DATABASE_URL"),
            owner_database_url=settings.text("WAYBILL_OWNER_DATABASE_URL"),
            storage_address=settings.text("WAYBILL_STORAGE_ADDRESS", "127.0.0.1:7402"),
            ledger_address=settings.text("WAYBILL_LEDGER_ADDRESS", "127.0.0.1:7405"),
            children=settings.integer("WAYBILL_PARSER_CHILDREN", os.cpu_count() or 1, minimum=1),
            tesseract=None if languages == "none" else tesseract.installed(languages, environ),
        )
        settings.check()
        return config
