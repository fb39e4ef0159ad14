"""The engine that needs nobody: our own readers, in the sandbox. Priced as LlamaParse, not owed."""

from __future__ import annotations

import os

from services.parser.backends.port import Capabilities, Charge, Order, Parse, Source, Stage
from services.parser.documents.formats import FORMATS, promised
from services.parser.documents.limits import Limits
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import Artifact
from services.parser.refusals import refusal
from waybill.common.v1.cost_pb2 import CostKind
from waybill.metering import refusals_of
from waybill.runtime import faults
from waybill.runtime.errors import NotFound

LIGHT_BYTES = 1_000_000


class KeepsNothing:
    """What an engine answers of its parses whose every parse has ended, or is lost, with `begin`."""

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
        name="local",
        revision="local-2",
        vendor="llamaparse",
        cost_kind=CostKind.COST_KIND_SIMULATED,
        formats={each.name: (each.label, each.suffixes) for each in FORMATS},
        any_text=True,
    )

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox = sandbox
        self._limits = limits

    def is_light(self, filename: str, size_bytes: int, head: bytes = b"") -> bool:
        """Small text is, by its name and, once that is here, by how it begins."""
        found = promised(filename)
        may_be_text = (found is None or found.is_text) and b"\0" not in head and b"%PDF-" not in head
        return size_bytes <= LIGHT_BYTES and may_be_text

    async def count_pages(self, source: Source, artifact: Artifact) -> int:
        """See the port."""
        size = os.fstat(source.file.fileno()).st_size
        if size > self._limits.source_bytes:
            raise refusal("DOCUMENT_TOO_LARGE", f"The file has {size:,} bytes.")
        return await self._sandbox.count(source.file.fileno(), source.filename, artifact)

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        """Reads all pages; the tier sets the price alone."""
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
