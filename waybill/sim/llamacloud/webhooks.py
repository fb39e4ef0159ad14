"""A job's events as webhooks: only a hint, signed over the body alone, and broken on request."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from waybill.sim.clock import Clock
from waybill.sim.ids import Ids
from waybill.sim.llamacloud.configuration import Hook
from waybill.sim.llamacloud.jobs import Job
from waybill.sim.outbox import Fate, Outbox, Webhook, reachable

# What a fault does to each event of its job, and its delay where it names none.
_FATES = {
    "F36": (Fate.DUPLICATE, "1"),
    "F38": (Fate.DUPLICATE, "600"),
    "F40": (Fate.LOST, "0"),
}


class Webhooks:
    """Tells a job's hooks of its events.

    Args:
        signatures: A hook with a secret is signed.
    """

    def __init__(self, outbox: Outbox, clock: Clock, ids: Ids, signatures: bool) -> None:
        self._outbox, self._clock, self._ids, self._signatures = outbox, clock, ids, signatures

    def tell(self, job: Job, event: str) -> None:
        """Sends an event to each hook that wants it."""
        for hook in job.configuration.hooks:
            if not hook.events or event in hook.events:
                self._send(job, event, hook)

    def _send(self, job: Job, event: str, hook: Hook) -> None:
        named = self._ids.uuid("pjb-") if _forged(job) == "unknown" else job.id
        payload = {
            "event_id": self._ids.uuid(),
            "event_type": event,
            "timestamp": self._clock.now(),
            "data": {"id": named, "job_id": named},
        }
        webhook = self._webhook(payload, hook, twice_encoded=job.broken_as("F42"))
        fate, delay = self._fate(job, hook)
        if _forged(job) == "unsigned":
            webhook = dataclasses.replace(webhook, sign=None)
        self._outbox.post(webhook, fate, delay)

    def _webhook(self, payload: Mapping[str, Any], hook: Hook, twice_encoded: bool) -> Webhook:
        text = json.dumps(payload)
        if twice_encoded or not hook.as_json:
            text = json.dumps(text)
        headers = {
            "content-type": "application/json",
            "user-agent": "llamaindex-webhook-service/1.0",
            "x-webhook-event-id": payload["event_id"],
            "x-webhook-event-type": payload["event_type"],
            **hook.headers,
        }
        signed = hook.secret and self._signatures
        sign = (lambda body: signature(hook.secret, body)) if signed else None
        return Webhook(payload["event_id"], hook.url, text.encode(), headers, sign)

    def _fate(self, job: Job, hook: Hook) -> tuple[Fate, float]:
        if not reachable(hook.url):
            return Fate.LOST, 0
        if _forged(job) == "signature":
            return Fate.FORGED, 0
        if job.broken_as("F40") and job.variant("lost") != "lost":
            return Fate.LATE, float(job.variant(""))
        fate, delay = _FATES.get(job.fault.name if job.fault else "", (Fate.SENT, "0"))
        return fate, float(job.variant(delay)) if fate is Fate.DUPLICATE else 0


def _forged(job: Job) -> str:
    """How a fault forges a job's events: `signature`, `unsigned`, `unknown`; empty where it does not."""
    return job.variant("signature") if job.broken_as("F37") else ""


def signature(secret: str, body: bytes) -> dict[str, str]:
    """The header that signs a body."""
    return {"lc-signature": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}
