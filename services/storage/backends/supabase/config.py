"""How to reach Supabase Storage: the settings that begin with SUPABASE_."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from waybill import supabase_settings as own
from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime.config import Settings
from waybill.runtime.settings import MODE
from waybill.vendors.addresses import address_fault
from waybill.vendors.keys import Keys
from waybill.vendors.supabase import STORAGE_PATH


@dataclass(frozen=True)
class SupabaseConfig:
    """How to reach the storage API of a project.

    Attributes:
        keys: SUPABASE_KEY and, while it is rotated, SUPABASE_KEY_NEXT; or SUPABASE_KEY_FILE, a key a line,
            read again when it changes. A secret key (sb_secret_…), or the legacy JWT of the service role.
        storage_url: SUPABASE_STORAGE_URL, without a slash at its end; else SUPABASE_URL with /storage/v1.
        bucket: SUPABASE_BUCKET.
        kind: What its egress is: simulated under WAYBILL_MODE=simulator.
        attempt_seconds: The longest that an attempt may take that carries no bytes, and the longest silence
            of one that does.
    """

    keys: Keys
    storage_url: str
    bucket: str
    kind: CostKind = CostKind.COST_KIND_REAL
    attempt_seconds: float = 20.0

    @classmethod
    def read(cls, settings: Settings) -> SupabaseConfig:
        """From the environment; what is missing is told by `settings.check`."""
        file = settings.text(own.SUPABASE_KEY_FILE)
        first = settings.text(own.SUPABASE_KEY, "" if file else None)
        storage_url = settings.text(own.SUPABASE_STORAGE_URL)
        url = settings.text(own.SUPABASE_URL, "" if storage_url else None)
        for setting, value in ((own.SUPABASE_URL, url), (own.SUPABASE_STORAGE_URL, storage_url)):
            if value and (fault := address_fault(setting.name, value)):
                settings.fault(fault)
        return cls(
            keys=Keys([first, settings.text(own.SUPABASE_KEY_NEXT)], Path(file) if file else None),
            storage_url=(storage_url or url.rstrip("/") + STORAGE_PATH).rstrip("/"),
            bucket=settings.text(own.SUPABASE_BUCKET),
            kind=CostKind.COST_KIND_SIMULATED
            if settings.text(MODE) == "simulator"
            else CostKind.COST_KIND_REAL,
        )
