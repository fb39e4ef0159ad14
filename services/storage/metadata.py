"""Which metadata an object may have: small, and the same on every backend."""

from __future__ import annotations

import re
from collections.abc import Mapping

from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wellformed import has_controls

MAX_PAIRS = 64
MAX_BYTES = 8 * 1024
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def check_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata, if it is allowed.

    Raises:
        InvalidRequest: INVALID_REQUEST.
    """
    if len(metadata) > MAX_PAIRS:
        raise _not_allowed(f"it has at most {MAX_PAIRS} pairs")
    if sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items()) > MAX_BYTES:
        raise _not_allowed(f"its names and values have at most {MAX_BYTES} bytes in all")
    if not all(map(_NAME.fullmatch, metadata)):
        raise _not_allowed('a name has 1 to 64 letters, digits, ".", "_" and "-"')
    if any(map(has_controls, metadata.values())):
        raise _not_allowed("a value has no control characters")
    return dict(metadata)


def _not_allowed(rule: str) -> InvalidRequest:
    return InvalidRequest("INVALID_REQUEST", f"This metadata is not allowed: {rule}. Change it.")
