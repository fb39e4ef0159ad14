"""The documents of the questions, read and cut as the pipeline does it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from evals import corpus
from services.orchestrator.chunks import cutting
from services.orchestrator.chunks.cutting import Passage
from services.parser.backends.local import LocalParser
from services.parser.backends.port import Order, Source
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import Artifact, Page, load
from services.storage.chunks import Chunk

DOCUMENTS = Path(__file__).with_name("documents.toml")


async def documents() -> dict[str, Sequence[Chunk]]:
    """The chunks of each document, by its key. Raises NotFetched."""
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        parser = LocalParser(sandbox, DEFAULT_LIMITS)
        found = [one for package in corpus.packages(listed=DOCUMENTS) for one in package.documents()]
        return {one.key: cut(await _pages(parser, one)) for one in found}


async def _pages(parser: LocalParser, document: corpus.Document) -> list[Page]:
    with document.path.open("rb") as file, Artifact.open() as artifact:
        source = Source(file, document.filename)
        await parser.count_pages(source, artifact)
        await parser.begin(source, Order("", "", datetime.datetime.min, 0), artifact)
        artifact.file.seek(0)
        return load(artifact.file.read())


def cut(pages: Sequence[Page]) -> list[Chunk]:
    """Pages as the index takes them."""
    whole = [
        cutting.Page(page.page, page.markdown, [cutting.Block(**asdict(block)) for block in page.blocks])
        for page in pages
    ]
    return [_chunk(ordinal, passage) for ordinal, passage in enumerate(cutting.cut(whole))]


def _chunk(ordinal: int, passage: Passage) -> Chunk:
    return Chunk(
        ordinal=ordinal,
        text=passage.text,
        heading=passage.heading,
        page=passage.page,
        start_char=passage.start,
        end_char=passage.end,
        sha256=passage.sha256,
        token_count=passage.token_count,
        lead=passage.lead,
    )
