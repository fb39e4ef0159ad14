"""Names of collections, documents and backends, as requests have them."""

from __future__ import annotations

from collections.abc import Sequence

from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.limits import DEFAULT_COLLECTION
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.identity import MAX_COLLECTION_BYTES, MAX_DOCUMENT_KEY_BYTES
from waybill.vendors.choosing import EMBEDDER, PARSER, kept

MAX_NAME_BYTES = 512


def collection(text: str) -> str:
    """A collection's name; the default one where there is none. Raises InvalidRequest."""
    return checked("collection", text or DEFAULT_COLLECTION, MAX_COLLECTION_BYTES)


def document_key(text: str) -> str:
    """A document's key. Raises InvalidRequest: INVALID_REQUEST."""
    if not text:
        raise InvalidRequest("INVALID_REQUEST", "document_key is missing.")
    return checked("document_key", text, MAX_DOCUMENT_KEY_BYTES)


def checked(field: str, text: str, most_bytes: int) -> str:
    """A text that the database takes. Raises InvalidRequest: INVALID_REQUEST, naming the field."""
    if len(text.encode()) > most_bytes or "\0" in text:
        raise InvalidRequest(
            "INVALID_REQUEST", f"{field} has at most {most_bytes} bytes, and no NUL character."
        )
    return text


def backends(choices: Sequence[BackendChoice]) -> dict[str, dict[str, str]]:
    """Who did the work of a version by service, as its row keeps it. Raises InvalidRequest."""
    for one in choices:
        if one.service not in (PARSER, EMBEDDER) or one.mode not in Mode.values():
            raise InvalidRequest(
                "INVALID_REQUEST", "backends are of parser and embedder, each in a mode of the enum's."
            )
        checked("backend", one.backend, MAX_NAME_BYTES)
        checked("reason", one.reason, MAX_NAME_BYTES)
    return kept(choices)
