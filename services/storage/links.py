"""Links to objects: which may be asked for, and which object is a document's source."""

from __future__ import annotations

import unicodedata

from services.storage import inventory, names
from waybill.object_keys import source_key
from waybill.runtime.errors import InvalidRequest, NotFound
from waybill.runtime.postgres import Database

DEFAULT_SECONDS, MAX_SECONDS = 15 * 60, 7 * 24 * 60 * 60
MAX_FILE_NAME_BYTES = 255


def check_life(seconds: int, nanos: int) -> int:
    """How long a link is to live.

    Raises:
        InvalidRequest: INVALID_REQUEST.
    """
    if nanos or not 1 <= seconds <= MAX_SECONDS:
        raise InvalidRequest(
            "INVALID_REQUEST", f"life is 1 second to 7 days ({MAX_SECONDS} s), in whole seconds."
        )
    return seconds


def check_file_name(name: str) -> str:
    """The name of a file to be saved.

    Raises:
        InvalidRequest: INVALID_REQUEST.
    """
    if name != file_name_of(name):
        raise InvalidRequest(
            "INVALID_REQUEST",
            f'file_name has at most {MAX_FILE_NAME_BYTES} bytes, no "/", no backslash and no control or'
            ' invisible character, and is not "." or "..".',
        )
    return name


def file_name_of(key: str) -> str:
    """The name to save an object or document of this key by."""
    last = key.replace("\\", "/").rstrip("/").rpartition("/")[2]
    kept = "".join("_" if unicodedata.category(one)[0] == "C" else one for one in last)
    kept = kept.encode()[-MAX_FILE_NAME_BYTES:].decode(errors="ignore")
    return kept if kept.strip(". ") else "file"


async def source_of(database: Database, tenant: str, collection: str, document_key: str) -> str:
    """The key of the object that a document's published version was made from.

    Raises:
        InvalidRequest: INVALID_REQUEST.
        NotFound: DOCUMENT_NOT_FOUND.
    """
    name = names.collection(collection), names.document_key(document_key)
    async with database.transaction(tenant) as connection:
        row = await inventory.document(connection, tenant, *name)
    if not row["source_sha256"]:
        raise NotFound("DOCUMENT_NOT_FOUND", "No version of this document is published yet. Await its run.")
    return source_key(row["source_sha256"])
