"""Which object keys are allowed: paths that mean the same on every backend and reach nowhere else."""

from __future__ import annotations

import unicodedata

from waybill.runtime.errors import InvalidRequest

MAX_KEY_BYTES = 512


def check_key(key: str) -> str:
    """The key, if it is allowed.

    Raises:
        InvalidRequest: PATH_NOT_ALLOWED.
    """
    if not key:
        raise _not_allowed(f"a key has 1 to {MAX_KEY_BYTES} bytes")
    check_prefix(key)
    if any(segment in ("", ".", "..") for segment in key.split("/")):
        raise _not_allowed('a key has no empty segments, and none that are "." or ".."')
    return key


def check_prefix(prefix: str) -> str:
    """The prefix, if a key may begin with it; empty is any key's.

    Raises:
        InvalidRequest: PATH_NOT_ALLOWED.
    """
    if len(prefix.encode()) > MAX_KEY_BYTES:
        raise _not_allowed(f"a key has 1 to {MAX_KEY_BYTES} bytes")
    if "\\" in prefix or any(unicodedata.category(character) == "Cc" for character in prefix):
        raise _not_allowed("a key has no backslashes and no control characters")
    return prefix


def _not_allowed(rule: str) -> InvalidRequest:
    return InvalidRequest("PATH_NOT_ALLOWED", f"This key is not allowed: {rule}. Use another key.")
