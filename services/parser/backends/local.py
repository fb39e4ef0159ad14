"""The engine that needs nobody: our own readers, in the sandbox. It costs nothing."""

from __future__ import annotations

import os

from services.parser.backends import counting
from services.parser.backends.port import (
    HEAD_BYTES,
    Bought,
    Capabilities,
    Charge,
    Order,
    Parse,
    Preview,
    Source,
    Stage,
)
from services.parser.documents.formats import FORMATS, PDF, TEXT, promised
from services.parser.documents.limits import Limits
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import OURS, Artifact
from services.parser.refusals import refusal
from waybill.common.v1.cost_pb2 import CostKind
from waybill.refusals import refusals_of
from waybill.runtime import faults
from waybill.runtime.errors import NotFound
from waybill.runtime.semconv import LOCAL
from waybill.vendors.registry import LLAMAPARSE

LIGHT_BYTES = 1_000_000


class KeepsNothing:
    """What an engine answers of its parses whose every parse has ended, or is lost, with `begin`."""

    def priced_as(self, source: Source, tier: str) -> str:
        """By the tier."""
        return tier

    async def find(self, order: Order) -> Parse | None:
        """None, whatever was begun: its process is gone."""
        return None

    def longest_seconds(self, order: Order) -> float:
        """None goes on."""
        return 0.0

    async def look(self, parse_id: str) -> Parse:
        """There is no such parse."""
        raise NotFound("PARSE_NOT_FOUND", "This engine keeps no parse: one has ended once it has begun.")

    async def collect(self, parse_id: str, order: Order, artifact: Artifact) -> None:
        """There is no such parse."""
        await self.look(parse_id)

    async def cancel(self, parse_id: str, order: Order) -> Parse:
        """There is no such parse."""
        return await self.look(parse_id)

    async def leisure(self) -> None:
        """Nothing is asked of anybody."""

    async def charge(self, parse_id: str) -> Charge | None:
        """There is no such parse."""
        await self.look(parse_id)
        return None

    async def forget(self, parse_id: str, order: Order) -> None:
        """There is no such parse."""
        await self.look(parse_id)


class LocalParser(KeepsNothing):
    """Parses documents on this machine."""

    capabilities = Capabilities(
        name=OURS,
        revision="local-2",
        vendor=LOCAL,
        cost_kind=CostKind.COST_KIND_LOCAL,
        formats={each.name: (each.label, each.suffixes) for each in FORMATS},
        any_text=True,
        would_buy_of=LLAMAPARSE.name,
    )

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox = sandbox
        self._limits = limits

    def is_light(self, filename: str, size_bytes: int, head: bytes = b"") -> bool:
        """Small text is, by its name and, once that is here, by how it begins."""
        found = promised(filename)
        may_be_text = (found is None or found.is_text) and b"\0" not in head and b"%PDF-" not in head
        return size_bytes <= LIGHT_BYTES and may_be_text

    def priced_as(self, source: Source, tier: str) -> str:
        """See the port: "pdf engine"."""
        is_pdf = os.pread(source.file.fileno(), HEAD_BYTES, 0).find(b"%PDF-") >= 0
        found = PDF if is_pdf else promised(source.filename) or TEXT
        return f"{found.name} engine"

    async def count_pages(self, source: Source, artifact: Artifact) -> int:
        """See the port."""
        size = os.fstat(source.file.fileno()).st_size
        if size > self._limits.source_bytes:
            raise refusal("DOCUMENT_TOO_LARGE", f"The file has {size:,} bytes.")
        return await self._sandbox.count(source.file.fileno(), source.filename, artifact)

    async def preview(self, source: Source, artifact: Artifact) -> Preview:
        """See the port; it reads the document, which is all that a parse does."""
        pages = await self._sandbox.apart.read(source.file.fileno(), source.filename, artifact)
        if not artifact.has_text:
            raise refusal("DOCUMENT_EMPTY", pages=str(pages))
        return Preview(
            Bought(pages, pages, exact=True), counting.of_reading(artifact.whole()), text_known=True
        )

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        """Reads all pages, whatever the tier."""
        with faults.noting_cancel("parse"), refusals_of(self.capabilities.vendor):
            await faults.point("parse.under_way")
            if artifact.reading is None:
                await self._sandbox.read(source.file.fileno(), source.filename, artifact)
            if not artifact.has_text:
                raise refusal("DOCUMENT_EMPTY", pages=str(artifact.pages))
        await faults.point("parse.done")
        return Parse("", Stage.ENDED)

    async def check(self) -> bool:
        """Whether the sandbox works."""
        return await self._sandbox.check()
