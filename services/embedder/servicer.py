"""EmbedderService: request → embedding or batch jobs → response messages under the size limit."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import numpy as np
from opentelemetry import trace

from services.embedder.backends.port import Stage
from services.embedder.batch_lines import JobName
from services.embedder.batch_results import Outcome
from services.embedder.batches import Job, VendorBatches
from services.embedder.embedding import Bought, Embeddings
from services.embedder.spaces import Spaces
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1 import batch_job_pb2, embedder_service_pb2_grpc
from waybill.embedder.v1 import embedder_service_pb2 as pb
from waybill.embedder.v1.embedding_pb2 import Embedding, Usage
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest, Precondition
from waybill.vendors.choosing import EMBEDDER, choice_attributes, choose

MESSAGE_BYTES = 1024 * 1024
# A version's vectors are of one space: it is filled by who has that, whatever the mode is by now.
SPACE_KEPT = "SPACE_KEPT"
_STATES = {
    Stage.RUNNING: batch_job_pb2.BatchJob.STATE_RUNNING,
    Stage.CANCELLING: batch_job_pb2.BatchJob.STATE_CANCELLING,
    Stage.ENDED: batch_job_pb2.BatchJob.STATE_ENDED,
}


class EmbedderServicer(embedder_service_pb2_grpc.EmbedderServiceServicer):
    """The embedder's RPCs."""

    def __init__(self, spaces: Spaces, jobs: VendorBatches, mode: Mode) -> None:
        """Args:
        spaces: What is served.
        jobs: Of the configured model.
        mode: Of calls that name none.
        """
        self._spaces = spaces
        self._mode = mode
        self._jobs = jobs

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> AsyncIterator[pb.EmbedResponse]:
        """Streams the vectors of the request's texts."""
        embeddings, choice = await self._asked(request)
        trace.get_current_span().set_attributes(choice_attributes(choice))
        # Batches are the configured model's.
        batches = embeddings is self._spaces.default and embeddings.batches_offered
        yield pb.EmbedResponse(
            space=embeddings.space, batches_offered=batches, offer=embeddings.offer, choice=choice
        )
        # Who asks goes on without the vendor; or it is a run, which waits without a place.
        go_on = choice.mode == Mode.MODE_HYBRID or bool(identity.caller().run_id)
        usage = Usage()
        async for bought in embeddings.embed(request.texts, go_on=go_on):
            usage.tokens += bought.tokens
            usage.entry_ids.append(bought.entry_id)
            for vectors in _messages(bought):
                yield pb.EmbedResponse(embeddings=vectors)
        if request.texts:
            yield pb.EmbedResponse(usage=usage)

    async def CreateBatchJob(self, requests: Any, context: Any) -> pb.CreateBatchJobResponse:
        """Begins a batch job."""
        first = await anext(requests, None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidRequest("INVALID_REQUEST", "The first message is the header.")
        name = _name(first.header.name)
        if name.vendor_id:
            raise InvalidRequest("INVALID_REQUEST", "A job to be created has no vendor_id yet.")
        if first.header.HasField("space"):
            self._require(first.header.space)
        job = await self._jobs.create(name, _texts(requests))
        return pb.CreateBatchJobResponse(job=_job(job))

    async def GetBatchJob(self, request: pb.GetBatchJobRequest, context: Any) -> pb.GetBatchJobResponse:
        """Says where a job stands."""
        return pb.GetBatchJobResponse(job=_job(await self._jobs.get(_name(request.name))))

    async def CancelBatchJob(
        self, request: pb.CancelBatchJobRequest, context: Any
    ) -> pb.CancelBatchJobResponse:
        """Stops a job."""
        return pb.CancelBatchJobResponse(job=_job(await self._jobs.cancel(_name(request.name))))

    async def CollectBatchJob(
        self, request: pb.CollectBatchJobRequest, context: Any
    ) -> AsyncIterator[pb.CollectBatchJobResponse]:
        """Streams what a job made."""
        async for part in self._jobs.collect(_name(request.name)):
            if isinstance(part, Outcome):
                yield pb.CollectBatchJobResponse(outcome=batch_job_pb2.BatchOutcome(**vars(part)))
            elif not request.settle_only:
                for vectors in _messages(part):
                    yield pb.CollectBatchJobResponse(embeddings=vectors)

    async def DeleteBatchJob(
        self, request: pb.DeleteBatchJobRequest, context: Any
    ) -> pb.DeleteBatchJobResponse:
        """Deletes a job's files."""
        await self._jobs.delete(_name(request.name))
        return pb.DeleteBatchJobResponse()

    async def _asked(self, request: pb.EmbedRequest) -> tuple[Embeddings, BackendChoice]:
        choice = choose(EMBEDDER, request.mode or self._mode)
        found = await self._found(request, choice.backend)
        if found.name != choice.backend:
            choice.backend, choice.reason = found.name, SPACE_KEPT
        return found, choice

    async def _found(self, request: pb.EmbedRequest, backend: str) -> Embeddings:
        if request.model and request.HasField("space"):
            raise InvalidRequest("INVALID_REQUEST", "Name a space or a model, not both.")
        if request.HasField("space"):
            return await self._spaces.of(request.space)
        if request.model:
            return await self._spaces.named(request.model, request.dimension)
        return await self._spaces.of_backend(backend)

    def _require(self, wanted: Space) -> None:
        space = self._spaces.default.space
        if wanted != space:
            raise Precondition(
                "SPACE_MISMATCH",
                f"Served is {space.model} with {space.dimension} dimensions; ask for that, or for none.",
                {"model": space.model, "dimension": str(space.dimension), "revision": space.revision},
            )


def _messages(bought: Bought) -> Iterator[list[Embedding]]:
    rows = np.ascontiguousarray(bought.vectors, dtype="<f4")
    size = max(1, MESSAGE_BYTES // rows[0].nbytes)
    for start in range(0, len(rows), size):
        yield [
            Embedding(index=bought.start + place, values=rows[place].tobytes())
            for place in range(start, min(start + size, len(rows)))
        ]


async def _texts(requests: Any) -> AsyncIterator[tuple[int, Sequence[str]]]:
    async for request in requests:
        if request.WhichOneof("part") != "texts" or not request.texts.texts:
            raise InvalidRequest("INVALID_REQUEST", "Every message but the first holds texts.")
        yield request.texts.start_index, request.texts.texts


def _name(name: batch_job_pb2.BatchJobName) -> JobName:
    try:
        job_key = str(uuid.UUID(name.job_key))
    except ValueError:
        raise InvalidRequest("INVALID_REQUEST", "job_key must be a UUID.") from None
    since = name.since.ToNanoseconds() / 1e9 if name.HasField("since") else None
    return JobName(job_key, name.vendor_id, since)


def _job(job: Job) -> batch_job_pb2.BatchJob:
    name = batch_job_pb2.BatchJobName(job_key=job.name.job_key, vendor_id=job.name.vendor_id)
    if job.name.since is not None:
        name.since.FromNanoseconds(round(job.name.since * 1e9))
    return batch_job_pb2.BatchJob(
        name=name, state=_STATES[job.stage], vendor_status=job.vendor_status, requests=job.requests
    )
