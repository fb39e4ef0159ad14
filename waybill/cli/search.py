"""`waybill search`: a question in, passages out."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from waybill.cli.inert import inert
from waybill.cli.objects import hit_object, space_object
from waybill.cli.screen import Screen, spread
from waybill.cli.session import DEFAULT_TENANT, Json, Tenant, reachable, session
from waybill.client import Client
from waybill.orchestrator.v1.orchestrator_service_pb2 import SearchRequest
from waybill.storage.v1.chunk_pb2 import Hit

_MOST_CHARS = 320
_MOST_WIDTH = 100


def search(
    query: Annotated[str, typer.Argument(metavar="QUESTION", help="In plain words; quote it.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="Most hits.")] = 10,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Find the passages that answer a question, best first."""
    with session(tenant, as_json) as here:
        show_search(reachable(here.client), here.screen, query, limit)


def show_search(client: Client, screen: Screen, query: str, limit: int) -> None:
    """Asks, and prints the hits."""
    answer = client.orchestrator.Search(SearchRequest(query=query, limit=limit))
    coverage = answer.coverage
    if screen.as_json:
        screen.emit(
            {
                "query": query,
                "space": space_object(answer.space),
                "coverage": {"chunks": coverage.chunks, "vectors": coverage.vectors},
                "hits": [hit_object(rank, hit) for rank, hit in enumerate(answer.hits, 1)],
            }
        )
        return
    for rank, hit in enumerate(answer.hits, 1):
        _show_hit(screen, rank, hit)
    if not answer.hits:
        screen.note(f"Nothing found. What is there to be found: {screen.command('runs')}")
    if coverage.vectors < coverage.chunks:
        screen.note(
            f"{coverage.chunks - coverage.vectors} of {coverage.chunks} chunks are found by words alone"
        )


def _show_hit(screen: Screen, rank: int, hit: Hit) -> None:
    width = min(screen.out.width, _MOST_WIDTH)
    place = Text(f"page {hit.chunk.page}  {hit.score:.4f}", "dim")
    screen.show(spread(Text(f"{rank:>2} {inert(hit.document_key)}", "bold"), place, width))
    if hit.chunk.heading:
        screen.show(spread(Text(f"   {inert(hit.chunk.heading)}", "cyan"), "", width))
    text = inert(hit.chunk.text)
    shown = text if len(text) <= _MOST_CHARS else text[:_MOST_CHARS].rstrip() + "…"
    screen.out.print(Padding(Text(shown), (0, 0, 0, 3)), width=width)
