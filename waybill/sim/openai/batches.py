"""The batch API: a batch's state follows from the clock alone, its work is done when it has ended."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from waybill.sim.faults import Fault
from waybill.sim.ids import Ids
from waybill.sim.invoice import Invoice
from waybill.sim.openai import batch_work
from waybill.sim.openai.errors import Refused
from waybill.sim.openai.files import Files
from waybill.sim.openai.settings import BatchTimes

WINDOW_SECONDS = 24 * 3600
ENDED = ("completed", "expired", "cancelled")


@dataclass
class Batch:
    """One batch and what was asked of it."""

    id: str
    owner: str
    file_id: str
    metadata: dict[str, str] | None
    created: float
    requests: list[dict[str, Any]]
    problems: list[batch_work.Problem]
    fault: Fault | None
    times: BatchTimes
    cancel_asked: float | None = None
    result: batch_work.Result | None = None
    files: dict[str, str] = field(default_factory=dict)

    def broken_as(self, name: str) -> bool:
        """Whether this fault broke its creation."""
        return self.fault is not None and self.fault.name == name

    @property
    def _work_starts(self) -> float:
        return self.created + self.times.validating_seconds

    @property
    def _work_ends(self) -> float | None:
        """None where the window closes before."""
        end = self._work_starts + self.times.working_seconds
        late = end + self.times.finalizing_seconds > self.created + WINDOW_SECONDS
        return None if late or self.broken_as("O33") else end

    def milestones(self) -> list[tuple[float, str]]:
        """When it enters each state, in order."""
        if self.problems:
            return [(self.created, "validating"), (self._work_starts, "failed")]
        states = [(self.created, "validating"), (self._work_starts, "in_progress")]
        if self._work_ends is None:
            states.append((self.created + WINDOW_SECONDS, "expired"))
        else:
            states.append((self._work_ends, "finalizing"))
            states.append((self._work_ends + self.times.finalizing_seconds, "completed"))
        if self.cancel_asked is not None:
            asked = self.cancel_asked
            states = [state for state in states if state[0] <= asked]
            states += [(asked, "cancelling"), (asked + self.times.cancelling_seconds, "cancelled")]
        return states

    def state(self, now: float) -> tuple[float, str]:
        """The state it is in, and since when."""
        return [state for state in self.milestones() if state[0] <= now][-1]

    def done(self, now: float) -> int:
        """How many requests were worked on."""
        until = now if self.cancel_asked is None else min(now, self.cancel_asked)
        share = (until - self._work_starts) / max(self.times.working_seconds, 1e-9)
        return int(len(self.requests) * min(max(share, 0.0), 0.5 if self.broken_as("O33") else 1.0))

    def body(self, now: float) -> dict[str, Any]:
        """OpenAI's JSON."""
        reached = {name: int(at) for at, name in self.milestones() if at <= now}
        errors = {"object": "list", "data": [problem.body() for problem in self.problems]}
        good = len(self.result.good) if self.result else self.done(now)
        bad = len(self.result.bad) if self.result else 0
        stamps = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": batch_work.ENDPOINT,
            "errors": errors if "failed" in reached else None,
            "input_file_id": self.file_id,
            "completion_window": "24h",
            "status": self.state(now)[1],
            "output_file_id": self.files.get("output"),
            "error_file_id": self.files.get("error"),
            "created_at": int(self.created),
            "expires_at": int(self.created) + WINDOW_SECONDS,
            **{f"{name}_at": reached.get(name) for name in stamps},
            "request_counts": {"total": len(self.requests), "completed": good, "failed": bad},
            "metadata": self.metadata,
        }


class Batches:
    """Batches by id, in the order of their creation."""

    def __init__(self, times: BatchTimes, seed: int, files: Files, invoice: Invoice, ids: Ids) -> None:
        self._times, self._seed, self._files, self._invoice, self._ids = times, seed, files, invoice, ids
        self._batches: dict[str, Batch] = {}

    def take(self, **seconds: float) -> None:
        """Batches created from now on take other times; see `BatchTimes`."""
        self._times = dataclasses.replace(self._times, **seconds)

    def create(self, owner: str, body: Any, fault: Fault | None, now: float) -> Batch:
        """Begins a batch.

        Raises:
            Refused: As OpenAI would; what is wrong inside the file comes later, as a failed batch.
        """
        if not isinstance(body, dict):
            raise Refused(400, "We could not parse the JSON body of your request.")
        if body.get("endpoint") != batch_work.ENDPOINT:
            raise Refused(400, f"Invalid value: '{body.get('endpoint')}'.", param="endpoint")
        if body.get("completion_window") != "24h":
            raise Refused(400, "Supported values are: '24h'.", param="completion_window")
        metadata = body.get("metadata")
        if metadata is not None and not _is_metadata(metadata):
            raise Refused(400, "At most 16 pairs of strings, 64 by 512 characters.", param="metadata")
        file = self._files.get(owner, str(body.get("input_file_id")))
        requests, problems = batch_work.read(file.content)
        batch = Batch(
            self._ids.new("batch_"), owner, file.id, metadata, now, requests, problems, fault, self._times
        )
        self._batches[batch.id] = batch
        return batch

    def get(self, owner: str, batch_id: str) -> Batch:
        """A batch.

        Raises:
            Refused: There is none of this id, or not for this owner.
        """
        batch = self._batches.get(batch_id)
        if batch is None or batch.owner != owner:
            raise Refused(404, f"No batch found with id '{batch_id}'.", param="batch_id")
        return batch

    def cancel(self, owner: str, batch_id: str, now: float) -> Batch:
        """Asks for the end of a batch; what is done by now stays done.

        Raises:
            Refused: It has ended, or there is none.
        """
        batch = self.get(owner, batch_id)
        _, state = batch.state(now)
        if state in (*ENDED, "failed"):
            raise Refused(409, f"Cannot cancel a batch with status '{state}'.")
        if batch.cancel_asked is None:
            batch.cancel_asked = now
        return batch

    def page(self, owner: str, limit: int, after: str) -> tuple[list[Batch], bool]:
        """The newest batches after one, and whether there are more."""
        mine = [batch for batch in reversed(self._batches.values()) if batch.owner == owner]
        if after:
            mine = mine[mine.index(self.get(owner, after)) + 1 :]
        return mine[:limit], len(mine) > limit

    def settle(self, now: float) -> None:
        """Does and bills the work of every batch that has ended by now."""
        for batch in self._batches.values():
            ended_at, state = batch.state(now)
            if state in ENDED and batch.result is None:
                self._finish(batch, ended_at, state)

    def _finish(self, batch: Batch, ended_at: float, state: str) -> None:
        done = batch.done(ended_at)
        code = "batch_expired" if state == "expired" else "batch_cancelled"
        result = batch_work.work(batch.requests, done, batch.fault, code, self._ids)
        batch.result = result
        for item, tokens in result.tokens.items():
            self._invoice.charge(ended_at, batch.id, item, tokens, len(result.good))
        damage = ""
        if batch.fault and batch.broken_as("O34"):
            damage = batch.fault.variant or "missing"
        if result.good:
            content = result.output(self._seed, damage)
            self._store(batch, "output", content, ended_at)
        if result.bad:
            self._store(batch, "error", batch_work.jsonl(result.bad), ended_at)

    def _store(self, batch: Batch, kind: str, content: bytes, now: float) -> None:
        name = f"{batch.id}_{kind}.jsonl"
        batch.files[kind] = self._files.add(batch.owner, content, name, "batch_output", now).id


def _is_metadata(given: Any) -> bool:
    return (
        isinstance(given, dict)
        and len(given) <= 16
        and all(
            isinstance(value, str) and len(key) <= 64 and len(value) <= 512 for key, value in given.items()
        )
    )
