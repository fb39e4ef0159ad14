"""The engine that needs nobody: PDFium in the sandbox, text by hand. Priced as LlamaParse, not owed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from services.parser import filetypes, text
from services.parser.backends.port import Capabilities, Source
from services.parser.filetypes import FileType
from services.parser.limits import Limits
from services.parser.pages import Page
from services.parser.refusals import refusal
from services.parser.sandbox import Sandbox
from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime import faults


class LocalParser:
    """Parses PDF, Markdown and plain text on this machine."""

    capabilities = Capabilities("local", "llamaparse", CostKind.COST_KIND_SIMULATED)

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox = sandbox
        self._limits = limits

    async def count_pages(self, source: Source) -> int:
        """Pages of the document, for text as it will be cut."""
        if self._type(source) is FileType.PDF:
            return (await self._sandbox.read("count", source.file.fileno())).page_count
        return len(await self._text(source))

    async def parse(self, source: Source, tier: str) -> Sequence[Page]:
        """All pages; the tier sets the price alone."""
        await faults.point("parse.under_way")
        if self._type(source) is FileType.TEXT:
            return await self._text(source)
        reading = await self._sandbox.read("parse", source.file.fileno())
        if not any(page.markdown.strip() for page in reading.pages):
            raise refusal("DOCUMENT_EMPTY", pages=str(reading.page_count))
        return reading.pages

    async def check(self) -> bool:
        """Whether the sandbox works."""
        return await self._sandbox.check()

    def _type(self, source: Source) -> FileType:
        if _size(source) > self._limits.source_bytes:
            raise refusal("DOCUMENT_TOO_LARGE", f"The file has {_size(source):,} bytes.")
        return filetypes.by_content(source.filename, os.pread(source.file.fileno(), filetypes.HEAD_BYTES, 0))

    async def _text(self, source: Source) -> list[Page]:
        content = await asyncio.to_thread(os.pread, source.file.fileno(), _size(source), 0)
        return await asyncio.to_thread(text.parse, content, self._limits)


def _size(source: Source) -> int:
    return os.fstat(source.file.fileno()).st_size
