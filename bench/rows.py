"""Documents as the services' rows, by hand: the lower bounds' reading, cutting and binary COPY."""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import BaseConnection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

from services.embedder.backends.port import Vectors
from services.orchestrator.chunks.cutting import DEFAULT_SIZES, Block, Page, Passage, cut
from services.parser.documents import reading
from services.parser.documents.document import Document as Source
from services.parser.documents.limits import Limits

TENANT, COLLECTION = "bench", "default"

# As the administrator: COPY does not go through row-level security.
SCHEMA = "set search_path = waybill_index, extensions"
HALFVEC = "extensions.halfvec"
KNOWN = """
select document_key, source_sha256
from documents join document_versions on version_id = current_version_id
"""
SPACE = "select space_id from spaces where (model, dimension, revision) = (%s, %s, %s)"
# Both at once: foreign keys, which point both ways, are checked at the statement's end.
ADD_DOCUMENT = """
with version as (
    insert into document_versions (version_id, tenant, document_id, run_id, source_sha256, recipe, space_id,
        state, chunk_count, vector_count)
    values (%(version)s, %(tenant)s, %(document)s, %(version)s::text, %(sha256)s, %(recipe)s, %(space)s,
        %(state)s, %(chunks)s, %(chunks)s)
)
insert into documents (document_id, tenant, collection, document_key, current_version_id)
values (%(document)s, %(tenant)s, %(collection)s, %(key)s, %(current)s)
"""
COPY_CHUNKS = """
copy chunks (tenant, version_id, ordinal, sha256, text, heading, page, start_char, end_char, token_count)
from stdin (format binary)
"""
CHUNK_TYPES = ["text", "uuid", "int4", "text", "text", "text", "int4", "int4", "int4", "int4"]
COPY_VECTORS = "copy vectors (tenant, space_id, version_id, ordinal, e) from stdin (format binary)"
VECTOR_TYPES = ["text", "int4", "uuid", "int4", "halfvec"]
Row = tuple[Any, ...]


class Half(bytes):
    """A vector in pgvector's binary form for `halfvec`."""


@dataclass(frozen=True)
class Document:
    """A document, cut."""

    key: str
    sha256: str
    passages: Sequence[Passage]
    version: uuid.UUID = field(default_factory=uuid.uuid4)

    def values(self, space_id: int, *, published: bool) -> dict[str, Any]:
        """For ADD_DOCUMENT."""
        return {
            "version": self.version,
            "document": uuid.uuid4(),
            "tenant": TENANT,
            "collection": COLLECTION,
            "key": self.key,
            "sha256": self.sha256,
            "recipe": DEFAULT_SIZES.recipe,
            "space": space_id,
            "chunks": len(self.passages),
            "state": "PUBLISHED" if published else "BUILDING",
            "current": self.version if published else None,
        }


def changed(files: Iterable[Path], known: dict[str, str]) -> Iterator[Document]:
    """The documents whose content is not the known one, read and cut."""
    for file in files:
        content = file.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        if known.get(file.name) != sha256:
            yield Document(file.name, sha256, list(cut(_pages(file))))


def chunk_row(version: uuid.UUID, ordinal: int, one: Passage) -> Row:
    """For COPY_CHUNKS."""
    place = (one.page, one.start, one.end, one.token_count)
    return TENANT, version, ordinal, one.sha256, one.text, one.heading, *place


def halves(vectors: Vectors) -> Iterator[Half]:
    """Vectors for COPY_VECTORS."""
    head = struct.pack(">hh", vectors.shape[1], 0)
    for row in vectors.astype(">f2"):
        yield Half(head + row.tobytes())


def teach(connection: BaseConnection[Any], halfvec: TypeInfo | None) -> None:
    """Lets a connection take `Half`."""
    assert halfvec is not None
    halfvec.register(connection)
    halfvec_oid = halfvec.oid

    class HalfDumper(Dumper):
        format = Format.BINARY
        oid = halfvec_oid

        def dump(self, obj: bytes) -> Buffer:
            return obj

    connection.adapters.register_dumper(Half, HalfDumper)


def _pages(file: Path) -> Iterator[Page]:
    with file.open("rb") as opened:
        document = Source(opened.fileno(), file.name, Limits())
        for row in reading.answers(document, count_only=False, allow_cpu=lambda pages: None):
            if "page" in row:
                yield Page(row["page"], row["markdown"], [Block(**block) for block in row.get("blocks", ())])
