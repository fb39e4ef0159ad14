"""The storage service's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.storage.backends.supabase.config import SupabaseConfig
from waybill import settings as declared
from waybill import supabase_settings
from waybill.runtime.server import ServerConfig


@dataclass(frozen=True)
class StorageConfig:
    """From the environment.

    Attributes:
        server: Where to serve.
        database_url: WAYBILL_DATABASE_URL, the login role waybill_storage.
        owner_database_url: WAYBILL_OWNER_DATABASE_URL, the role that sees every tenant.
        objects_dir: WAYBILL_OBJECTS_DIR, a folder that no other process writes to; of the local backend.
        supabase: For that backend alone: STORAGE_BACKEND, or by WAYBILL_MODE.
    """

    server: ServerConfig
    database_url: str
    owner_database_url: str
    objects_dir: Path | None
    supabase: SupabaseConfig | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> StorageConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = declared.read(environ)
        local = settings.backend(supabase_settings.STORAGE_BACKEND) == "local"
        config = cls(
            server=ServerConfig.read(settings, "storage", declared.FIXED_PORTS["storage"]),
            database_url=settings.text(declared.DATABASE_URL),
            owner_database_url=settings.text(declared.OWNER_DATABASE_URL),
            objects_dir=settings.path(declared.OBJECTS_DIR) if local else None,
            supabase=None if local else SupabaseConfig.read(settings),
        )
        settings.check()
        return config
