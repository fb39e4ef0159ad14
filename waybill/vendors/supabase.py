"""What is known of Supabase Storage besides its row: the API's path, keys' roles, what a bucket must take."""

from __future__ import annotations

import base64
import binascii
import json

SERVICE_ROLE = "service_role"
STORAGE_PATH = "/storage/v1"
# Makes the bucket `waybill` and its policies; to run it again is harmless.
BUCKET_MIGRATION = "20261127000040_storage_bucket.sql"
# The bucket's limit there, which is our largest object.
BUCKET_BYTES = 512_000_000
# Sent where nobody says what an object is, and for the pages of a document.
MEDIA_TYPES = ("application/octet-stream", "application/jsonl")
_KINDS = {"sb_secret_": SERVICE_ROLE, "sb_publishable_": "anon"}


def key_headers(key: str) -> dict[str, str]:
    """Both forms: the platform's gateway knows keys by the first, a server without one by the second."""
    return {"apikey": key, "Authorization": f"Bearer {key}"}


def role_of(key: str) -> str:
    """The role that a key says it acts in; empty where it does not say. Nothing is verified."""
    for prefix, role in _KINDS.items():
        if key.startswith(prefix):
            return role
    try:
        payload = key.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error, ValueError):
        return ""
    claimed = claims.get("role") if isinstance(claims, dict) else None
    return claimed if isinstance(claimed, str) else ""


def takes(allowed: list[str] | None, media_type: str) -> bool:
    """Whether a bucket with such a list takes a media type; no list is no limit."""
    return not allowed or bool({media_type, f"{media_type.partition('/')[0]}/*"} & {*allowed})
