"""What the index answers with: its rows and hits as messages of the contract."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from services.storage.chunks import Chunk, chunk_id
from services.storage.hits import Hit
from services.storage.inventory import Row
from waybill.common.v1 import space_pb2
from waybill.common.v1.backend_pb2 import BackendChoice
from waybill.runtime.wire import timestamp
from waybill.storage.v1 import chunk_pb2, document_pb2
from waybill.vendors.choosing import PARSED_LOCALLY, PARSER, VECTORS_PENDING, choices_of, stands_in

CHUNK_FIELDS = [field.name for field in fields(Chunk)]


def chunk(version_id: uuid.UUID, passage: Chunk) -> chunk_pb2.Chunk:
    """A chunk of a version."""
    return chunk_pb2.Chunk(**asdict(passage), chunk_id=chunk_id(version_id, passage.ordinal))


def document(row: Row) -> document_pb2.Document:
    """A document, and what is published of it where something is."""
    told = document_pb2.Document(
        document_id=str(row["document_id"]),
        create_time=timestamp(row["created_at"]),
        **{name: row[name] for name in ("collection", "document_key", "metadata", "origin")},
    )
    if row["version_id"] is not None:
        told.version_id = str(row["version_id"])
        told.space.CopyFrom(
            space_pb2.Space(**{name: row[name] for name in ("model", "dimension", "revision")})
        )
        told.publish_time.CopyFrom(timestamp(row["published_at"]))
        for name in ("run_id", "source_sha256", "chunk_count", "pending_vectors"):
            setattr(told, name, row[name])
        told.backends.extend(choices_of(row["backends"]))
        told.lacking.extend(_lacking(told.backends, row["pending_vectors"] > 0))
    return told


def hit(found: Hit, collection: str) -> chunk_pb2.Hit:
    """A hit of a search, with what its score was made of."""
    row, parts = found.row, found.candidate.parts
    passage = Chunk(**{name: row[name] for name in CHUNK_FIELDS})
    backends = choices_of(row["backends"])
    shares = [chunk_pb2.WordShare(word=word, share=share) for word, share in found.matched.items()]
    return chunk_pb2.Hit(
        chunk=chunk(row["version_id"], passage),
        collection=collection,
        document_key=found.candidate.row["document_key"],
        document_id=str(row["document_id"]),
        version_id=str(row["version_id"]),
        score=parts.score,
        parts=chunk_pb2.ScoreParts(
            words=parts.words,
            excerpt=parts.excerpt,
            verbatim=parts.verbatim,
            cosine=parts.cosine,
            weight=parts.weight,
            matched=shares,
        ),
        also=[_place(copy) for copy in found.copies],
        excerpt=chunk_pb2.Excerpt(
            text=found.excerpt.text,
            start_char=found.excerpt.start,
            marks=[chunk_pb2.Excerpt.Mark(start=start, end=end) for start, end in found.excerpt.marks],
        ),
        backends=backends,
        lacking=list(_lacking(backends, row["vectors_pending"])),
    )


def _lacking(backends: Sequence[BackendChoice], vectors_pending: bool) -> Iterator[str]:
    if any(one.service == PARSER and stands_in(one) for one in backends):
        yield PARSED_LOCALLY
    if vectors_pending:
        yield VECTORS_PENDING


def _place(copy: Mapping[str, Any]) -> chunk_pb2.Place:
    return chunk_pb2.Place(
        document_key=copy["document_key"],
        document_id=str(copy["document_id"]),
        version_id=str(copy["version_id"]),
        ordinal=copy["ordinal"],
        page=copy["page"],
    )
