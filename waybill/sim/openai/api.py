"""OpenAI's operations, each from one call to what was done for it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from waybill.sim.clock import Clock
from waybill.sim.faults import Fault
from waybill.sim.invoice import Invoice
from waybill.sim.limits import Limits, RateLimiter, Refusal, duration
from waybill.sim.openai import breakage, embeddings, settings
from waybill.sim.openai.batches import Batches
from waybill.sim.openai.errors import Refused, json_reply, no_such_model
from waybill.sim.openai.files import Files
from waybill.sim.wire import Delivery, Reply, Request


@dataclass(frozen=True)
class Call:
    """One request of a known caller.

    Args:
        owner: Whose files, batches and quota it uses: the key's project.
        limits: The project's own, where it has any.
        part: The id in the path.
        body: The JSON, or None where there is none.
    """

    id: str
    request: Request
    owner: str
    limits: Limits | None
    part: str
    body: Any
    fault: Fault | None


@dataclass(frozen=True)
class Done:
    """What came of a call; billed already."""

    reply: Reply
    inputs: int = 0
    tokens: int = 0
    billed_nano_usd: int = 0


class Api:
    """The operations; each method may raise Refused."""

    def __init__(
        self, clock: Clock, invoice: Invoice, limiter: RateLimiter, files: Files, batches: Batches
    ) -> None:
        self._clock, self._invoice, self._limiter = clock, invoice, limiter
        self._files, self._batches = files, batches

    async def embed(self, call: Call) -> Done:
        """POST /v1/embeddings."""
        query = embeddings.parse(call.body)
        counts = await asyncio.to_thread(query.count)
        query.check(counts)
        total = sum(counts)
        subject = f"{call.owner} {query.model.name}"
        if refusal := self._limiter.admit(subject, total, call.limits):
            raise _too_many(refusal, query.model.name, self._limiter.headers(subject))
        billed = self._invoice.charge(self._clock.now(), call.id, query.model.name, total)
        answer = embeddings.answer(query, total)
        breakage.lie(call.fault, answer)
        reply = json_reply(answer.body(query.base64), headers=self._limiter.headers(subject))
        return Done(reply, len(counts), total, billed)

    async def list_models(self, call: Call) -> Done:
        """GET /v1/models."""
        models = [_model(model) for model in settings.MODELS.values()]
        return Done(json_reply({"object": "list", "data": models}))

    async def get_model(self, call: Call) -> Done:
        """GET /v1/models/{id}: free, so it serves as a probe."""
        if call.part not in settings.MODELS:
            raise no_such_model(call.part)
        return Done(json_reply(_model(settings.MODELS[call.part])))

    async def create_file(self, call: Call) -> Done:
        """POST /v1/files."""
        return Done(json_reply(self._files.upload(call.owner, call.request, self._clock.now()).body()))

    async def get_file(self, call: Call) -> Done:
        """GET /v1/files/{id}."""
        return Done(json_reply(self._files.get(call.owner, call.part).body()))

    async def delete_file(self, call: Call) -> Done:
        """DELETE /v1/files/{id}."""
        return Done(json_reply(self._files.delete(call.owner, call.part)))

    async def get_content(self, call: Call) -> Done:
        """GET /v1/files/{id}/content, chunked."""
        content = self._files.get(call.owner, call.part).content
        headers = {"content-type": "application/octet-stream"}
        return Done(Reply(200, content, headers, Delivery.CHUNKED))

    async def create_batch(self, call: Call) -> Done:
        """POST /v1/batches."""
        now = self._clock.now()
        return Done(json_reply(self._batches.create(call.owner, call.body, call.fault, now).body(now)))

    async def get_batch(self, call: Call) -> Done:
        """GET /v1/batches/{id}."""
        now = self._clock.now()
        self._batches.settle(now)
        return Done(json_reply(self._batches.get(call.owner, call.part).body(now)))

    async def list_batches(self, call: Call) -> Done:
        """GET /v1/batches: newest first, `limit` from 1 to 100, `after` an id."""
        limit = call.request.query.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            raise Refused(400, f"Invalid 'limit': {limit}. Expected 1 to 100.", param="limit")
        now = self._clock.now()
        self._batches.settle(now)
        page, more = self._batches.page(call.owner, int(limit), call.request.query.get("after", ""))
        ends = (
            {"first_id": page[0].id, "last_id": page[-1].id} if page else {"first_id": None, "last_id": None}
        )
        data = [batch.body(now) for batch in page]
        return Done(json_reply({"object": "list", "data": data, "has_more": more, **ends}))

    async def cancel_batch(self, call: Call) -> Done:
        """POST /v1/batches/{id}/cancel."""
        now = self._clock.now()
        return Done(json_reply(self._batches.cancel(call.owner, call.part, now).body(now)))


def json_body(request: Request) -> Any:
    """A request's JSON; None where there is none that can be read."""
    if not request.headers.get("content-type", "application/json").startswith("application/json"):
        return None
    try:
        return json.loads(request.body) if request.body else None
    except ValueError:
        return None


def _model(model: settings.Model) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": model.created, "owned_by": "system"}


def _too_many(refusal: Refusal, model: str, headers: dict[str, str]) -> Refused:
    unit = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}[refusal.kind]
    numbers = f"Limit {refusal.limit}, Used {refusal.limit - refusal.left}, Requested {refusal.requested}."
    message = f"Rate limit reached for {model} on {unit}: {numbers}"
    if refusal.wait_seconds is not None:
        message += f" Please try again in {duration(refusal.wait_seconds)}."
        milliseconds = int(refusal.wait_seconds * 1000) + 1
        headers = {
            **headers,
            "retry-after": str(-(-milliseconds // 1000)),
            "retry-after-ms": str(milliseconds),
        }
    return Refused(429, message, refusal.kind, "rate_limit_exceeded", headers=headers)
