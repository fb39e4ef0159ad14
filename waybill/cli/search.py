"""`waybill search`: a question in, passages out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from waybill.cli.lacking import in_words
from waybill.cli.objects import hit_object, told
from waybill.cli.pairs import pairs
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted, quoted, spread
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.client import Client
from waybill.limits import DEFAULT_COLLECTION
from waybill.orchestrator.v1.orchestrator_service_pb2 import SearchRequest
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.storage.v1.chunk_pb2 import Hit
from waybill.vendors.choosing import PARSED_LOCALLY

_MOST_CHARS = 320
_MOST_PAGE = 1_000_000
_MOST_WIDTH = 100
_PAGES = re.compile(r"(\d*)-(\d*)|(\d+)")


def search(
    query: Annotated[
        str, typer.Argument(metavar="QUESTION", help='In plain words; "in quotes" is word for word.')
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="Most hits.")] = 10,
    collection: Annotated[str, typer.Option("--collection", help="Where to search.")] = DEFAULT_COLLECTION,
    document: Annotated[
        list[str] | None, typer.Option("--document", help="Only in this one; may be repeated.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="KEY=VALUE", help="Only in documents that say so; may be repeated."),
    ] = None,
    pages: Annotated[str, typer.Option("--pages", metavar="3-7", help="Only on these pages.")] = "",
    explain: Annotated[bool, typer.Option("--explain", help="Show what each score is made of.")] = False,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Find the passages that answer a question, best first."""
    first, last = _pages(pages)
    metadata = pairs(where or [], "--where")
    with session(tenant, as_json) as here:
        request = SearchRequest(
            query=query,
            limit=limit,
            collection=collection,
            document_keys=document or [],
            metadata=metadata,
            first_page=first,
            last_page=last,
        )
        show_search(reachable(here.client), here.screen, request, explain)


def show_search(client: Client, screen: Screen, request: SearchRequest, explain: bool) -> None:
    """Asks, and prints the hits."""
    answer = client.orchestrator.Search(request)
    coverage = answer.coverage
    if screen.as_json:
        screen.emit(
            {
                "query": request.query,
                "space": told(answer.space),
                "coverage": {"chunks": coverage.chunks, "vectors": coverage.vectors},
                "hits": [hit_object(rank, hit) for rank, hit in enumerate(answer.hits, 1)],
                "hint": answer.hint,
                "without_vector": answer.without_vector or None,
            }
        )
        return
    for rank, hit in enumerate(answer.hits, 1):
        _show_hit(screen, rank, hit, explain)
    if answer.hits:
        words = f"open {quoted(answer.hits[0].document_key)}"
        if request.collection != DEFAULT_COLLECTION:
            words += f" --collection {quoted(request.collection)}"
        screen.note(f"The file of a hit: {screen.command(words)}", "dim")
    else:
        screen.note(f"{plain(answer.hint)} What is there to be found: {screen.command('documents')}".strip())
    if answer.without_vector:
        screen.note(plain(answer.without_vector))
    if coverage.vectors < coverage.chunks:
        screen.note(
            f"{coverage.chunks - coverage.vectors} of {coverage.chunks} chunks are found by words alone; "
            f"{screen.command('heal --all')} gives vectors to those of degraded runs, and to those of "
            "another embedding model a new ingest of their files"
        )
    here = sum(PARSED_LOCALLY in hit.lacking for hit in answer.hits)
    if here:
        hits = f"{here} of {counted(len(answer.hits), 'hit')} {'is' if here == 1 else 'are'}"
        screen.note(
            f"{hits} of a document that was read on this machine; its vendor reads it by"
            f" {screen.command('heal --all')}"
        )


def _pages(pages: str) -> tuple[int, int]:
    """First and last; 0 for an end that is left open."""
    if not pages:
        return 0, 0
    match = _PAGES.fullmatch(pages)
    if match is None or pages == "-":
        raise typer.BadParameter("write --pages 3, 3-7, 3- or -7")
    first, last, only = (int(number) if number else None for number in match.groups())
    ends = [end for end in (first, last, only) if end is not None]
    if min(ends) < 1 or max(ends) > _MOST_PAGE or ends != sorted(ends):
        raise typer.BadParameter(f"pages count from 1 to {_MOST_PAGE:,}, the first one first")
    return (only, only) if only else (first or 0, last or 0)


def _show_hit(screen: Screen, rank: int, hit: Hit, explain: bool) -> None:
    width = min(screen.out.width, _MOST_WIDTH)
    place = Text(f"page {hit.chunk.page}  {hit.score:.2f}", "dim")
    screen.show(spread(Text(f"{rank:>2} {plain(hit.document_key)}", "bold"), place, width))
    for also in hit.also:
        screen.show(spread(Text(f"   also {plain(also.document_key)}", "dim"), f"page {also.page}", width))
    if hit.chunk.heading:
        screen.show(spread(Text(f"   {plain(hit.chunk.heading)}", "cyan"), "", width))
    for lacking in in_words(hit.lacking, hit.backends):
        screen.show(spread(Text(f"   {plain(lacking)}", "yellow"), "", width))
    for line in hit.chunk.lead.splitlines()[:1]:
        screen.show(spread(Text(f"   {plain(line)}", "dim"), "", width))
    screen.out.print(Padding(_excerpt(hit), (0, 0, 0, 3)), width=width)
    if explain:
        screen.out.print(Padding(Text(_explained(hit), "dim"), (0, 0, 0, 3)), width=width)


def _excerpt(hit: Hit) -> Text:
    """The best part of the passage, the question's words in bold."""
    excerpt = hit.excerpt.text or hit.chunk.text[:_MOST_CHARS]
    shown = Text("…" if hit.excerpt.start_char else "")
    for piece, marked in _pieces(hit, excerpt):
        shown.append(_plain_part(piece), "bold" if marked else None)
    if hit.excerpt.start_char + len(excerpt) < len(hit.chunk.text):
        shown.rstrip()
        shown.append("…")
    return shown


def _plain_part(piece: str) -> str:
    """A part of a line; `plain` would take away the space around it."""
    if not piece.strip():
        return " " if piece else ""
    before, after = (" " if end.isspace() else "" for end in (piece[0], piece[-1]))
    return f"{before}{plain(piece)}{after}"


def _pieces(hit: Hit, excerpt: str) -> Iterator[tuple[str, bool]]:
    end = 0
    for mark in hit.excerpt.marks:
        yield excerpt[end : mark.start], False
        yield excerpt[mark.start : mark.end], True
        end = mark.end
    yield excerpt[end:], False


def _explained(hit: Hit) -> str:
    parts = hit.parts
    words = sorted(parts.matched, key=lambda one: -one.share)
    named = ", ".join(f"{plain(one.word)} {one.share:.3f}" for one in words)
    verbatim = ", the question word for word" if parts.verbatim else ""
    return (
        f"words {parts.words:.3f} ({named or 'none'}), excerpt {parts.excerpt:.3f}"
        f"{f', vector {parts.cosine:.3f} × {parts.weight:g}' if parts.weight else ''}{verbatim}"
    )
