"""The storage service's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from services.storage.backends.supabase.config import SupabaseConfig
from waybill import objects_settings as own
from waybill import settings as declared
from waybill import supabase_settings
from waybill.common.v1.backend_pb2 import Mode
from waybill.runtime.config import Settings
from waybill.runtime.server import ServerConfig
from waybill.runtime.settings import PRIVATE_NETWORK
from waybill.runtime.tls import LOOPBACK

LEAST_KEY_CHARS = 32
_ANYWHERE = ("0.0.0.0", "[::]", "")  # noqa: S104 nothing is bound here


@dataclass(frozen=True)
class LinksConfig:
    """Where links to objects are served.

    Attributes:
        bind: WAYBILL_OBJECTS_HTTP, host:port; port 0 takes a free one.
        public_url: WAYBILL_OBJECTS_PUBLIC_URL, what links begin with; empty: where the service listens.
        keys: WAYBILL_OBJECTS_LINK_KEYS, the first one signs; none: those of a file.
    """

    bind: str
    public_url: str = ""
    keys: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, settings: Settings) -> LinksConfig | None:
        """From the environment; None where no links are served."""
        bind = settings.text(own.OBJECTS_HTTP)
        if not bind:
            return None
        config = cls(
            bind,
            settings.text(own.OBJECTS_PUBLIC_URL).rstrip("/"),
            tuple(settings.text(own.OBJECTS_LINK_KEYS).split()),
        )
        config._judge(settings)
        return config

    def _judge(self, settings: Settings) -> None:
        host, _, port = self.bind.rpartition(":")
        if not port.isdecimal():
            settings.fault(f"{own.OBJECTS_HTTP.name} is {self.bind!r}, which is not host:port")
        if host not in LOOPBACK and settings.choice(PRIVATE_NETWORK) != "1":
            settings.fault(
                f"{own.OBJECTS_HTTP.name} is {self.bind!r}; only loopback is allowed, behind what ends TLS"
                f" for it, or a network that {PRIVATE_NETWORK.name}=1 says is closed"
            )
        public = urlsplit(self.public_url)
        if not self.public_url and host in _ANYWHERE:
            settings.fault(f"{own.OBJECTS_PUBLIC_URL.name} is not set: links cannot begin with {host!r}")
        if self.public_url and not (public.scheme in ("http", "https") and public.hostname):
            settings.fault(f"{own.OBJECTS_PUBLIC_URL.name} is {self.public_url!r}, which is not an address")
        if any(len(key) < LEAST_KEY_CHARS for key in self.keys):
            settings.fault(f"{own.OBJECTS_LINK_KEYS.name}: a key has at least {LEAST_KEY_CHARS} characters")


@dataclass(frozen=True)
class StorageConfig:
    """From the environment.

    Attributes:
        server: Where to serve.
        database_url: WAYBILL_DATABASE_URL, the login role waybill_storage.
        owner_database_url: WAYBILL_OWNER_DATABASE_URL, the role that sees every tenant.
        objects_dir: WAYBILL_OBJECTS_DIR, a folder that no other process writes to; of the local backend.
        supabase: For that backend alone: STORAGE_BACKEND, or by WAYBILL_MODE.
        links: Where links to objects of the local backend are served; None: nowhere.
        ledger_address: WAYBILL_LEDGER_ADDRESS, host:port, where the audit is, and is told what a vendor
            sends; empty: the audit is in the log alone.
        mode: WAYBILL_MODE, as it holds for a vendor's backend.
    """

    server: ServerConfig
    database_url: str
    owner_database_url: str
    objects_dir: Path | None
    supabase: SupabaseConfig | None = None
    links: LinksConfig | None = None
    ledger_address: str = ""
    mode: Mode = Mode.MODE_REAL

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> StorageConfig:
        """Raises ConfigError naming everything that is missing."""
        settings = declared.read(environ)
        local = settings.backend(supabase_settings.STORAGE_BACKEND) == "local"
        config = cls(
            server=ServerConfig.read(settings, "storage", declared.FIXED_PORTS["storage"]),
            database_url=settings.text(declared.DATABASE_URL),
            owner_database_url=settings.text(declared.OWNER_DATABASE_URL),
            objects_dir=settings.path(own.OBJECTS_DIR) if local else None,
            supabase=None if local else SupabaseConfig.read(settings),
            links=LinksConfig.read(settings) if local else None,
            ledger_address=settings.text(declared.ADDRESSES["ledger"]),
            mode=settings.mode(supabase_settings.STORAGE_BACKEND),
        )
        settings.check()
        return config
