"""OpenAI's operations, each from one call to what was done for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from waybill.sim.clock import Clock
from waybill.sim.invoice import Invoice
from waybill.sim.limits import RateLimiter, Refusal
from waybill.sim.openai import catalogue, embeddings, settings
from waybill.sim.openai.batches import Batches
from waybill.sim.openai.errors import Refused, no_such_model
from waybill.sim.openai.files import Files
from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.wire import Delivery, Reply


class Api:
    """The operations; each method may raise Refused."""

    def __init__(
        self,
        seconds_per_token: float,
        clock: Clock,
        invoice: Invoice,
        limiter: RateLimiter,
        files: Files,
        batches: Batches,
        folder: Path,
    ) -> None:
        self._clock, self._invoice, self._limiter = clock, invoice, limiter
        self._seconds_per_token = seconds_per_token
        self._files, self._batches, self._folder = files, batches, folder

    def routes(self) -> list[Route]:
        """Which request asks for which operation."""
        return [
            Route("POST", "/v1/embeddings", "embeddings", self.embed),
            Route("GET", "/v1/models", "models.list", self.list_models),
            Route("GET", "/v1/models/{id}", "models.get", self.get_model),
            Route("POST", "/v1/files", "files.create", self.create_file),
            Route("GET", "/v1/files/{id}", "files.get", self.get_file),
            Route("DELETE", "/v1/files/{id}", "files.delete", self.delete_file),
            Route("GET", "/v1/files/{id}/content", "files.content", self.get_content),
            Route("POST", "/v1/batches", "batches.create", self.create_batch),
            Route("GET", "/v1/batches", "batches.list", self.list_batches),
            Route("GET", "/v1/batches/{id}", "batches.get", self.get_batch),
            Route("POST", "/v1/batches/{id}/cancel", "batches.cancel", self.cancel_batch),
        ]

    async def embed(self, call: Call) -> Done:
        """POST /v1/embeddings."""
        query = embeddings.parse(call.request.json)
        counts = await asyncio.to_thread(query.count)
        query.check(counts)
        total = sum(counts)
        subject = f"{call.owner} {query.model.name}"
        if refusal := self._limiter.admit(subject, total, call.account.limits):
            raise _too_many(refusal, query.model.name, _quota(self._limiter, subject))
        billed = self._invoice.charge(self._clock.now(), call.id, query.model.name, total)
        answer = embeddings.answer(query, total)
        catalogue.corrupt(call.fault, answer)
        reply = json_reply(answer.body(query.base64), headers=_quota(self._limiter, subject))
        return Done(reply, len(counts), total, billed, self._seconds_per_token * total)

    async def list_models(self, call: Call) -> Done:
        """GET /v1/models."""
        models = [_model(model) for model in settings.MODELS.values()]
        return Done(json_reply({"object": "list", "data": models}))

    async def get_model(self, call: Call) -> Done:
        """GET /v1/models/{id}: free, so it serves as a probe."""
        if call.parts["id"] not in settings.MODELS:
            raise no_such_model(call.parts["id"])
        return Done(json_reply(_model(settings.MODELS[call.parts["id"]])))

    async def create_file(self, call: Call) -> Done:
        """POST /v1/files."""
        file = await self._files.upload(call.owner, call.request, self._folder, self._clock.now())
        return Done(json_reply(file.body()))

    async def get_file(self, call: Call) -> Done:
        """GET /v1/files/{id}."""
        return Done(json_reply(self._files.get(call.owner, call.parts["id"]).body()))

    async def delete_file(self, call: Call) -> Done:
        """DELETE /v1/files/{id}."""
        return Done(json_reply(self._files.delete(call.owner, call.parts["id"])))

    async def get_content(self, call: Call) -> Done:
        """GET /v1/files/{id}/content, chunked."""
        content = self._files.get(call.owner, call.parts["id"]).content
        headers = {"content-type": "application/octet-stream"}
        return Done(Reply(200, content, headers, Delivery.CHUNKED))

    async def create_batch(self, call: Call) -> Done:
        """POST /v1/batches."""
        now = self._clock.now()
        return Done(
            json_reply(self._batches.create(call.owner, call.request.json, call.fault, now).body(now))
        )

    async def get_batch(self, call: Call) -> Done:
        """GET /v1/batches/{id}."""
        now = self._clock.now()
        self._batches.settle(now)
        return Done(json_reply(self._batches.get(call.owner, call.parts["id"]).body(now)))

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
        return Done(json_reply(self._batches.cancel(call.owner, call.parts["id"], now).body(now)))


def _model(model: settings.Model) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": model.created, "owned_by": "system"}


def _quota(limiter: RateLimiter, subject: str) -> dict[str, str]:
    """OpenAI's rate-limit headers: a reset is the time until the bucket is full again."""
    headers = {}
    for kind, level in limiter.levels(subject).items():
        headers[f"x-ratelimit-limit-{kind}"] = str(level.limit)
        headers[f"x-ratelimit-remaining-{kind}"] = str(level.left)
        headers[f"x-ratelimit-reset-{kind}"] = duration(level.full_in_seconds)
    return headers


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


def duration(seconds: float) -> str:
    """As OpenAI writes it: `12ms`, `1s`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
