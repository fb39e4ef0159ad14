"""Where the pipeline keeps a tenant's objects: the keys that more than one program knows."""

from __future__ import annotations

import re

_OF_DOCUMENTS = re.compile(r"(sources|parsed)/[0-9a-f]{64}(/|$)")
_SOURCE = re.compile(r"sources/([0-9a-f]{64})")


def source_key(sha256: str) -> str:
    """Of a document's file, by the SHA-256 of its content."""
    return f"sources/{sha256}"


def source_sha256(key: str) -> str | None:
    """The SHA-256 of the content that belongs at a key of `source_key`; None of any other key."""
    found = _SOURCE.fullmatch(key)
    return found[1] if found else None


def parsed_folder(sha256: str) -> str:
    """Of what the parser made of such a file."""
    return f"parsed/{sha256}"


def is_of_document(key: str) -> bool:
    """Whether the pipeline keeps an object there."""
    return _OF_DOCUMENTS.match(key) is not None
