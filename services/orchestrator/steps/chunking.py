"""The chunk step: pages become the chunks of a version, which nobody sees before it is published."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import replace
from functools import partial
from weakref import WeakValueDictionary

from google.protobuf.json_format import MessageToDict

from services.orchestrator import artifacts, avoiding, degrading
from services.orchestrator.batch import tiers
from services.orchestrator.chunks.cutting import ChunkSizes
from services.orchestrator.chunks.packing import Packer, nothing_to_cut
from services.orchestrator.peers import PATIENCE_SECONDS, Peers, steady
from services.orchestrator.runs.outcomes import Noted
from services.orchestrator.runs.parts import part
from services.orchestrator.runs.rows import Row
from services.orchestrator.spaces import Spaces
from services.orchestrator.steps.answers import Cut, Parsed
from services.orchestrator.steps.embedding import Embedding
from services.orchestrator.versions import NewVersion
from waybill.common.v1.space_pb2 import Space
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import ServiceError
from waybill.runtime.wire import timestamp
from waybill.storage.v1 import document_index_service_pb2 as index


class Chunking:
    """Cuts documents. The step may run again: the index knows the version that it began.

    Args:
        peers: The index, and the objects with the pages.
        spaces: Which space a version is begun in.
        embedding: Embeds and publishes at once what is one request.
        sizes: How long chunks are.
    """

    def __init__(self, peers: Peers, spaces: Spaces, embedding: Embedding, sizes: ChunkSizes) -> None:
        self._peers = peers
        self._spaces = spaces
        self._embedding = embedding
        self._sizes = sizes
        # By tenant and content.
        self._same: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def chunk(self, parsed: Parsed, row: Row) -> Noted[Cut]:
        """Cuts the pages and writes the chunks, without vectors, under an unpublished version.

        Where the same is published already, there is nothing to cut: the version is that one. What is one
        request is embedded and published at once, as parts of this step: that saves calls and transactions.
        The same content under another key is cut after that, and finds the vectors.
        """
        same = self._same.setdefault((row["tenant"], row["source_sha256"]), asyncio.Lock())
        async with same:
            return await self._chunk(parsed, row)

    async def _chunk(self, parsed: Parsed, row: Row) -> Noted[Cut]:
        now = utc_now()
        version, packer = await self._spaces.following(
            row["collection"], partial(self._version, parsed, row, now)
        )
        offer = await steady(partial(self._spaces.offer_in, version.space))
        begun, kind = version.begun, index.BeginVersionResponse
        cut = Cut(
            version_id=begun.version_id,
            document_id=begun.document_id,
            chunks=packer.chunks if version.lacking else begun.chunk_count,
            batches=packer.batches if version.lacking else (),
            edition=row["edition"],
            unchanged=begun.outcome == kind.OUTCOME_UNCHANGED,
            published=begun.outcome == kind.OUTCOME_PUBLISHED and not version.lacking,
            space=MessageToDict(version.space, preserving_proto_field_name=True),
        )
        decision = tiers.Decision("", "")
        if not cut.unchanged:
            decision = tiers.decide(row["complete_by"], now, cut.chunks, offer.batches_offered)
            cut = replace(cut, tier=decision.tier)
        # Before anything is embedded: what has a vector by now is nothing that this run has bought.
        if cut.unchanged:
            await avoiding.found(self._peers, begun.run_id, ["embed"])
        else:
            await avoiding.vectors_kept(self._peers, offer.offer, version.kept_tokens)
        if cut.published:
            # By this run, which was cut off before it could say so.
            async with part("publish"):
                pass
        pending, without = 0, None
        if len(cut.batches) == 1 and cut.tier == tiers.SYNCHRONOUS and not version.settled:
            try:
                # A request is never more than a message, so that all of it was put last.
                pending, without = await self._embedding.embed_and_publish(
                    cut, version.pending, row, offer.choice
                )
                lacking = degrading.pending(pending, without.message) if without else ""
                cut = replace(cut, published=True, lacking=lacking)
            except ServiceError as error:
                if not self._spaces.moved(row["collection"], error):
                    raise
                # Its own steps embed and publish it, in the space that its collection is in by now.
        columns = {
            "chunks": cut.chunks,
            "embedded_chunks": cut.chunks - pending if cut.published else 0,
            "backends": degrading.backends(without.choice if without else offer.choice),
            "document_id": cut.document_id,
            "version_id": cut.version_id,
            "tier": decision.tier,
            "tier_reason": decision.reason,
        }
        return Noted(cut, columns)

    async def _version(
        self, parsed: Parsed, row: Row, now: datetime.datetime, space: Space
    ) -> tuple[NewVersion, Packer]:
        """A version with its chunks."""
        begin = index.BeginVersionRequest(
            collection=row["collection"],
            document_key=row["document_key"],
            source_sha256=row["source_sha256"],
            recipe=self._sizes.recipe + (degrading.WITHOUT_VENDOR if parsed.locally else ""),
            space=space,
            run_id=str(row["run_id"]),
            keep_until=timestamp(tiers.keep_until(row["complete_by"], now)),
            metadata=row["metadata"],
            origin=row["origin"],
        )
        version = NewVersion(self._peers.index, begin)
        return version, await self._fill(version, parsed)

    async def _fill(self, version: NewVersion, parsed: Parsed) -> Packer:
        """Puts a document's chunks as its pages come; in memory are one range and one request."""
        packer = Packer(self._sizes)
        async for lines in artifacts.lines(self._peers.objects, parsed.result_key, PATIENCE_SECONDS):
            await version.put(await asyncio.to_thread(packer.add, artifacts.pages(lines)))
            if not version.lacking:
                return packer
        await version.put(packer.rest())
        if not packer.chunks:
            raise nothing_to_cut()
        return packer
