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
from services.orchestrator.runs.durable import Step, side_by_side
from services.orchestrator.runs.outcomes import Ending
from services.orchestrator.runs.rows import RunRef
from services.orchestrator.steps import BATCHES_IN_MEMORY, Cut, Parsed, Steps


class Pipeline:
    """The steps of an ingestion, in order."""

    def __init__(self, steps: Steps, batches: BatchTier) -> None:
        self._steps = steps
        self._batches = batches

    async def ingest(self, run: RunRef, step: Step) -> Ending:
        """Brings a stored document to where searches find it."""
        parsed = await step("parse", Parsed, self._steps.parse)
        cut = await step("chunk", Cut, partial(self._steps.chunk, parsed))
        if not cut.published:
            await self._embed_and_publish(run, cut, step)
        if parsed.missing:
            return Ending("READY_DEGRADED", PAGES_MISSING, parsed.missing)
        return Ending("UNCHANGED" if cut.unchanged else "READY")

    async def _embed_and_publish(self, run: RunRef, cut: Cut, step: Step) -> None:
        if cut.tier == tiers.BATCH:
            # What it leaves without a vector is embedded at once.
            await step("batch", int, partial(self._batches.embed, run, cut))
        embeddings = (
            partial(step, f"embed {number}", int, partial(self._steps.embed, cut, batch))
            for number, batch in enumerate(cut.batches, 1)
        )
        await side_by_side(embeddings, BATCHES_IN_MEMORY)
        await step("publish", str, partial(self._steps.publish, cut))

    async def stop(self, run: RunRef) -> None:
        """Stops what goes on elsewhere for a run: its parse jobs, and its batch."""
        await self._steps.stop(run)
        await self._batches.stop(run)
