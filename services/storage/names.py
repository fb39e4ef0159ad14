"""Names of collections and documents, as requests have them."""

from __future__ import annotations

from waybill.limits import DEFAULT_COLLECTION
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.identity import MAX_COLLECTION_BYTES, MAX_DOCUMENT_KEY_BYTES


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
