"""One document's way, in order: parse → chunk → (batch →) embed → publish.

A document of one embedding request is embedded and published within its chunk step, as parts of it.

`receive` and `store` are behind it when it begins; what goes wrong, and what makes a step durable, is
in `runs/durable.py`.
"""

from __future__ import annotations

from functools import partial

from services.orchestrator.batch import tiers
from services.orchestrator.batch.tier import BatchTier
from services.orchestrator.degrading import PAGES_MISSING
from services.orchestrator.modes import Modes
from services.orchestrator.runs.outcomes import Ending
from services.orchestrator.runs.rows import RunRef
from services.orchestrator.runs.side_by_side import side_by_side
from services.orchestrator.runs.stepping import Step
from services.orchestrator.steps.answers import Batched, Cut, Embedded, Parsed, Published
from services.orchestrator.steps.chunking import Chunking
from services.orchestrator.steps.embedding import BATCHES_IN_MEMORY, Embedding
from services.orchestrator.steps.parsing import Parsing
from waybill.vendors.choosing import PARSED_LOCALLY, VECTORS_PENDING


class Pipeline:
    """The steps of an ingestion, in order."""

    def __init__(
        self, parsing: Parsing, chunking: Chunking, embedding: Embedding, batches: BatchTier, modes: Modes
    ) -> None:
        self._parsing = parsing
        self._chunking = chunking
        self._embedding = embedding
        self._batches = batches
        # Each step takes the modes that stand when it begins.
        self._held = modes.held

    async def ingest(self, run: RunRef, step: Step) -> Ending:
        """Brings a stored document to where searches find it."""
        parsed = await step("parse", Parsed, self._held(self._parsing.parse))
        cut = await step("chunk", Cut, self._held(partial(self._chunking.chunk, parsed)))
        pending = cut.lacking if cut.published else await self._embed_and_publish(run, cut, step)
        lacking = {PARSED_LOCALLY: parsed.locally, VECTORS_PENDING: pending, PAGES_MISSING: parsed.missing}
        for reason, sentences in lacking.items():
            if sentences:
                return Ending("READY_DEGRADED", reason, " ".join(filter(None, lacking.values())))
        return Ending("UNCHANGED" if cut.unchanged else "READY")

    async def _embed_and_publish(self, run: RunRef, cut: Cut, step: Step) -> str:
        """Answers what it was published without, in sentences."""
        without = ""
        if cut.tier == tiers.BATCH:
            # What it leaves without a vector is embedded at once, but where no budget pays for it.
            without = (await step("batch", Batched, partial(self._batches.embed, run, cut))).without
        embeddings = (
            partial(step, f"embed {number}", Embedded, self._held(partial(self._embedding.embed, cut, batch)))
            for number, batch in enumerate(() if without else cut.batches, 1)
        )
        came = await side_by_side(embeddings, BATCHES_IN_MEMORY)
        without = next((one.without for one in came if one.without), without)
        publish = partial(self._embedding.publish, cut, without)
        published = await step("publish", Published, self._held(publish))
        return published.lacking

    async def stop(self, run: RunRef) -> None:
        """Stops what goes on elsewhere for a run: its parse jobs, and its batch."""
        await self._parsing.stop(run)
        await self._batches.stop(run)
