"""Ids that sort by the time at which they were made."""

from __future__ import annotations

import uuid


def uuid7(now_ms: int, random: bytes) -> uuid.UUID:
    """A UUIDv7 (RFC 9562).

    Args:
        now_ms: Unix time in milliseconds.
        random: 10 random bytes.
    """
    value = now_ms.to_bytes(6, "big") + random[:10]
    bits = int.from_bytes(value, "big") & ~(0xF << 76) & ~(0x3 << 62)
    return uuid.UUID(int=bits | 0x7 << 76 | 0x2 << 62)
