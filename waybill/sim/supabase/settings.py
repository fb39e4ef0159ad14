"""How the simulated Supabase project behaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from waybill.sim.simulator import Settings
from waybill.sim.supabase.policies import Policy, by_role

BUCKET = "waybill"
PART_BYTES = 6 * 2**20
# Known to everybody, as is the one of a self-hosted project that nobody has set up.
JWT_SECRET = "a-secret-of-the-simulator-that-everybody-knows"  # noqa: S105 - no secret: it is the simulator's


@dataclass(frozen=True)
class SupabaseSettings(Settings):
    """One simulator.

    Args:
        data: Objects are kept there over a restart; without it they go with the simulator.
        bucket: There from the start; empty for none.
        jwt_secret: Signs the legacy keys `anon` and `service_role`, and every HS256 token.
        policy: What each role may do.
        most_object_bytes: Of any bucket.
        upload_link_seconds: How long a signed upload holds.
        resumable_seconds: How long a resumable upload can be gone on with.
        strict_parts: A part of a resumable upload that is not the last has exactly 6 MiB, as on hosted
            projects; the server with files on disk takes any.
    """

    data: Path | None = None
    bucket: str = BUCKET
    jwt_secret: str = JWT_SECRET
    policy: Policy = by_role
    most_object_bytes: int = 5 * 2**30
    upload_link_seconds: int = 7200
    resumable_seconds: int = 24 * 3600
    strict_parts: bool = False
