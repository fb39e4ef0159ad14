"""`waybill documents`, `chunks` and `collections`: what is in the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated

import typer
from rich.text import Text

from waybill.cli.durations import ago
from waybill.cli.lacking import in_words
from waybill.cli.objects import told
from waybill.cli.paging import first, say_more
from waybill.cli.pairs import pairs
from waybill.cli.plain import plain
from waybill.cli.screen import counted, cut, sized, spread, table
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.limits import DEFAULT_COLLECTION
from waybill.orchestrator.v1.document_pb2 import Document
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    ListChunksRequest,
    ListCollectionsRequest,
    ListDocumentsRequest,
)
from waybill.runtime.clock import utc_now
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.runtime.semconv import LOCAL
from waybill.storage.v1.chunk_pb2 import Chunk

_STATES = {
    Document.STATE_READY_DEGRADED: "READY_DEGRADED: {}",
    Document.STATE_UNPUBLISHED: "UNPUBLISHED: no run has published it yet",
}
_MADE_BY = 4

Limit = Annotated[int, typer.Option("--limit", min=1, help="Most of them.")]


def documents(
    collection: Annotated[str, typer.Option("--collection", help="Only of this one.")] = "",
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="KEY=VALUE", help="Only those that say so; may be repeated."),
    ] = None,
    limit: Limit = 100,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """List the documents in the index, by collection and key."""
    request = ListDocumentsRequest(collection=collection, metadata=pairs(where or [], "--where"))
    with session(tenant, as_json) as here:
        listed = first(reachable(here.client).orchestrator.ListDocuments, request, "documents", limit + 1)
        if as_json:
            here.screen.emit({"documents": [told(one) for one in listed[:limit]]})
            return
        here.screen.show(*_documents(listed[:limit], here.screen.page_width))
        if not listed:
            here.screen.note(f"No such documents. What was ingested: {here.screen.command('runs')}")
        say_more(here.screen, listed, limit)


def collections(limit: Limit = 100, tenant: Tenant = DEFAULT_TENANT, as_json: Json = False) -> None:
    """List the collections in the index, with what is published in each."""
    with session(tenant, as_json) as here:
        call = reachable(here.client).orchestrator.ListCollections
        listed = first(call, ListCollectionsRequest(), "collections", limit + 1)
        if as_json:
            here.screen.emit({"collections": [told(one) for one in listed[:limit]]})
            return
        rows = [(plain(one.collection), f"{one.documents:,}", f"{one.chunks:,}") for one in listed[:limit]]
        if rows:
            here.screen.show(*table(("collection", "documents", "chunks"), rows, here.screen.page_width))
        else:
            here.screen.note(f"Nothing is published yet. Begin with: {here.screen.command('ingest PATH')}")
        say_more(here.screen, listed, limit)


def chunks(
    document_key: Annotated[
        str, typer.Argument(metavar="DOCUMENT_KEY", help="As `waybill documents` shows it.")
    ],
    collection: Annotated[str, typer.Option("--collection", help="Where it is.")] = DEFAULT_COLLECTION,
    limit: Limit = 20,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """List the passages of a document that searches find, in order."""
    request = ListChunksRequest(collection=collection, document_key=document_key)
    with session(tenant, as_json) as here:
        listed = first(reachable(here.client).orchestrator.ListChunks, request, "chunks", limit + 1)
        if as_json:
            here.screen.emit({"chunks": [told(one) for one in listed[:limit]]})
            return
        for one in listed[:limit]:
            here.screen.show(*_chunk(one, here.screen.page_width))
        say_more(here.screen, listed, limit)


def _documents(listed: Sequence[Document], width: int) -> Iterator[Text]:
    """A table for each collection, and below a document why it is not all there."""
    now = utc_now()
    for collection, some in groupby(listed, lambda document: document.collection):
        here = list(some)
        rows = [_row(one, now) for one in here]
        header: tuple[str, ...] = ("key", "pages", "chunks", "size", "made by", "published")
        if {row[_MADE_BY] for row in rows} <= {"", LOCAL}:  # which needs no saying
            rows, header = [_without_makers(row) for row in rows], _without_makers(header)
        lines = table(header, rows, width)
        yield Text(f"collection {plain(collection)}", "bold")
        yield next(lines)
        for document, line in zip(here, lines, strict=True):
            yield line
            if document.state in _STATES:
                lacking = ", ".join(in_words(document.lacking, document.backends))
                yield Text(f"  {plain(_STATES[document.state].format(lacking or 'see its run'))}", "yellow")


def _row(document: Document, now: datetime) -> tuple[str, ...]:
    key = plain(document.document_key)
    if not document.HasField("publish_time"):
        return key, "", "", "", "", ""
    published = ago(now - document.publish_time.ToDatetime(UTC))
    # A run that is gone knows neither pages nor bytes.
    known = (f"{document.pages:,}", sized(document.size_bytes)) if document.size_bytes else ("", "")
    makers = dict.fromkeys(one.backend or "nobody yet" for one in document.backends)
    return key, known[0], f"{document.chunks:,}", known[1], plain(", ".join(makers)), published


def _without_makers(row: tuple[str, ...]) -> tuple[str, ...]:
    return (*row[:_MADE_BY], *row[_MADE_BY + 1 :])


def _chunk(chunk: Chunk, width: int) -> Iterable[Text]:
    place = Text(f"{chunk.ordinal:>4}  page {chunk.page}", "bold")
    yield spread(place, Text(counted(chunk.token_count, "token"), "dim"), width)
    if chunk.heading:
        yield Text(f"      {cut(plain(chunk.heading), width - 6)}", "cyan")
    text = Text(f"      {plain(chunk.text)}")
    text.truncate(width, overflow="ellipsis")
    yield text
