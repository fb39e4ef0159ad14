"""The engine that needs nobody: PDFium in the sandbox, text by hand. Priced as LlamaParse, not owed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

from services.parser import filetypes, text
from services.parser.backends.port import Capabilities, Source
from services.parser.filetypes import FileType
from services.parser.limits import Limits
from services.parser.pages import Artifact, Page
from services.parser.refusals import refusal
from services.parser.sandbox import Sandbox
from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime import faults

_PIECE_BYTES = 256 * 1024


class LocalParser:
    """Parses PDF, Markdown and plain text on this machine."""

    capabilities = Capabilities("local", "llamaparse", CostKind.COST_KIND_SIMULATED)

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox = sandbox
        self._limits = limits

    async def count_pages(self, source: Source) -> int:
        """Pages of the document, for text as it will be cut."""
        if self._type(source) is FileType.PDF:
            return await self._sandbox.count(source.file.fileno())
        return await asyncio.to_thread(lambda: sum(1 for _ in self._text(source)))

    async def parse(self, source: Source, tier: str, artifact: Artifact) -> None:
        """All pages; the tier sets the price alone."""
        with faults.noting_cancel("parse"):
            await faults.point("parse.under_way")
            await self._parse(source, artifact)
        await faults.point("parse.done")

    async def _parse(self, source: Source, artifact: Artifact) -> None:
        if self._type(source) is FileType.TEXT:
            await asyncio.to_thread(artifact.extend, self._text(source))
        else:
            await self._sandbox.parse(source.file.fileno(), artifact)
        if not artifact.has_text:
            raise refusal("DOCUMENT_EMPTY", pages=str(artifact.pages))

    async def check(self) -> bool:
        """Whether the sandbox works."""
        return await self._sandbox.check()

    def _type(self, source: Source) -> FileType:
        if _size(source) > self._limits.source_bytes:
            raise refusal("DOCUMENT_TOO_LARGE", f"The file has {_size(source):,} bytes.")
        return filetypes.by_content(source.filename, os.pread(source.file.fileno(), filetypes.HEAD_BYTES, 0))

    def _text(self, source: Source) -> Iterator[Page]:
        fd = source.file.fileno()
        pieces = (os.pread(fd, _PIECE_BYTES, at) for at in range(0, _size(source), _PIECE_BYTES))
        return text.parse(pieces, self._limits)


def _size(source: Source) -> int:
    return os.fstat(source.file.fileno()).st_size
