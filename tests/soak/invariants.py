"""What must hold after every round; each check names what does not."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from services.orchestrator.chunks.cutting import embedded_text
from tests.pipeline.test_kill import check_whole
from tests.pipeline.workbench import Workbench
from tests.soak.plan import MARK, Document
from tests.soak.round import Round
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.run_pb2 import Run

# Vectors are kept as 16-bit floats.
VECTOR_TOLERANCE = 2e-3
CHUNKS = """
select d.document_key, c.ordinal, c.heading, c.lead, c.text, v.e::text as vector, n.state, n.chunk_count,
    n.vector_count
from waybill_index.documents d
join waybill_index.document_versions n on n.version_id = d.current_version_id
left join waybill_index.chunks c on c.version_id = n.version_id
left join waybill_index.vectors v on (v.version_id, v.ordinal) = (c.version_id, c.ordinal)
where d.tenant = %s order by d.document_key, c.ordinal
"""
JOBS = "select source_sha256, state, run_id, result_key, entry_id from waybill_parser.jobs where tenant = %s"
Row = Mapping[str, Any]


class Invariants:
    """Looks at what a round has left; make a new one to look again."""

    def __init__(self, played: Round) -> None:
        self._round = played
        self._bench: Workbench = played.bench

    def broken(self) -> list[str]:
        """Everything that does not hold now."""
        checks = (self._states, self._index, self._jobs, self._money, self._traces, self._objects)
        return [complaint for check in checks for complaint in check()]

    def wrong_vectors(self) -> list[str]:
        """Chunks whose vector is not their text's; costs an embedding."""
        rows = self._chunks
        texts = [embedded_text(row["heading"], row["lead"], row["text"]) for row in rows]
        answers = self._bench.client.embedder.Embed(EmbedRequest(texts=texts))
        found = {one.index: one.values for answer in answers for one in answer.embeddings}
        wrong = []
        for place, row in enumerate(rows):
            stored = np.fromstring(row["vector"].strip("[]"), sep=",")
            if np.abs(stored - np.frombuffer(found[place], "<f4")).max() > VECTOR_TOLERANCE:
                wrong.append(f"chunk {row['ordinal']} of {row['document_key']} has another text's vector")
        return wrong

    def _states(self) -> Iterator[str]:
        ended = {run.run_id: run for run in self._round.runs}
        sent = {one.run_id for one in self._round.sent}
        if sent != set(ended):
            yield f"runs that nobody sent, or that are not there: {sent ^ set(ended)}"
        for one in self._round.sent:
            run = ended.get(one.run_id)
            if run is not None and run.state not in one.may_end:
                yield f"{one.document.key} is {Run.State.Name(run.state)}: {run.reason} {run.message}"

    def _index(self) -> Iterator[str]:
        marks: dict[str, list[str]] = {}
        for row in self._chunks:
            key = row["document_key"]
            marks.setdefault(key, []).extend(MARK.findall(row["text"] or ""))
            if row["ordinal"] is None or row["vector"] is None or row["state"] != "PUBLISHED":
                yield f"{key} is published without its chunks or vectors: {row['ordinal']} {row['state']}"
        for key, count in Counter(row["document_key"] for row in self._chunks).items():
            row = next(row for row in self._chunks if row["document_key"] == key)
            if {row["chunk_count"], row["vector_count"]} != {count}:
                yield f"{key} has {count} chunks, and was counted as {row['chunk_count']}"
        for key, wanted in self._round.wanted.items():
            if marks.get(key) not in [document.marks if document else None for document in wanted]:
                yield f"{key} does not have its sentences exactly once: {marks.get(key)}"
        yield from (f"{key} is there and should not be" for key in set(marks) - set(self._round.wanted))

    def _jobs(self) -> Iterator[str]:
        jobs = self._rows(JOBS)
        living = Counter(job["source_sha256"] for job in jobs if job["state"] != "CANCELLED")
        for job in jobs:
            left_open = job["state"] == "CANCELLED" and job["entry_id"]
            if job["state"] not in ("SUCCEEDED", "CANCELLED") or left_open:
                yield f"a parse job of {job['source_sha256']} is still {job['state']}"
        if repeated := {sha256: count for sha256, count in living.items() if count > 1}:
            yield f"parsed more than once: {repeated}"
        wanted = {document.sha256 for document in self._present()}
        if missing := wanted - set(living):
            yield f"never parsed: {missing}"

    def _money(self) -> Iterator[str]:
        cancelled = {one.run_id for one in self._round.ended(Run.STATE_CANCELLED)}
        unchanged = {one.run_id for one in self._round.ended(Run.STATE_UNCHANGED)}
        parses = [entry.spend_key for entry in self._entries(Entry.STATE_SETTLED, "parse")]
        if len(set(parses)) < len(parses):
            yield f"a parse was paid twice: {Counter(parses).most_common(1)}"
        for entry in self.entries:
            if entry.run_id in unchanged:
                yield f"an unchanged document was paid for: {entry.spend_key}"
            # Nobody asks again for a cancelled run: what died with a process waits to expire.
            if entry.state == Entry.STATE_HELD and entry.run_id not in cancelled:
                yield f"still held: attempt {entry.attempt} of {entry.spend_key}"
        done = {(entry.run_id, entry.spend_key) for entry in self._entries(Entry.STATE_SETTLED)}
        for entry in self.entries:
            if entry.run_id not in cancelled and (entry.run_id, entry.spend_key) not in done:
                yield f"never settled: {entry.spend_key}"
        for run_id in {one.run_id for one in self._round.sent}:
            yield from self._counts(run_id)

    def _counts(self, run_id: str) -> Iterator[str]:
        """settled ≤ what the embedding engine itself counted ≤ settled + held + in doubt, in tokens."""
        count = sum(note["tokens"] for note in self._bench.journal(run_id) if note["event"] == "embed")
        mine = [one for one in self.entries if one.run_id == run_id and one.operation == "embed"]
        settled = sum(entry.quantity for entry in mine if entry.state == Entry.STATE_SETTLED)
        open_ones = (Entry.STATE_HELD, Entry.STATE_IN_DOUBT)
        doubt = sum(entry.quantity for entry in mine if entry.state in open_ones)
        if not settled <= count <= settled + doubt:
            yield f"{run_id}: {settled} tokens settled, {count} embedded, {doubt} in doubt"

    def _traces(self) -> Iterator[str]:
        for one in self._round.sent:
            try:
                check_whole(self._bench, one.run_id)
            except (AssertionError, KeyError) as error:
                yield f"the trace of {one.run_id} is not whole: {error!r}"

    def _objects(self) -> Iterator[str]:
        """Each object is a run's source or a job's result; none is half written."""
        wanted = {f"sources/{one.document.sha256}" for one in self._round.sent}
        wanted |= {job["result_key"] for job in self._rows(JOBS) if job["result_key"]}
        wanted -= {f"sources/{sha256}" for sha256 in self._deleted()}
        there = set(stored(self._bench))
        if orphans := there - wanted:
            yield f"orphan objects: {sorted(orphans)}"
        if missing := wanted - there:
            yield f"missing objects: {sorted(missing)}"

    def _deleted(self) -> set[str]:
        """Contents of documents that were deleted, and that no other one has."""
        gone = {key for key, wanted in self._round.wanted.items() if wanted == [None]}
        used = {one.document.sha256 for one in self._round.sent if one.document.key not in gone}
        return {one.document.sha256 for one in self._round.sent if one.document.key in gone} - used

    def _present(self) -> Iterator[Document]:
        for wanted in self._round.wanted.values():
            if len(wanted) == 1 and wanted[0] is not None:
                yield wanted[0]

    @cached_property
    def _chunks(self) -> Sequence[Row]:
        return self._rows(CHUNKS)

    @cached_property
    def entries(self) -> Sequence[Entry]:
        """The ledger's rows of the round's runs."""
        return [entry for one in self._round.sent for entry in self._bench.entries(one.run_id)]

    def _entries(self, state: int, operation: str = "") -> list[Entry]:
        return [one for one in self.entries if one.state == state and operation in ("", one.operation)]

    def _rows(self, query: str) -> Sequence[Row]:
        return self._bench.rows(query, self._bench.tenant)


def stored(bench: Workbench) -> Iterator[str]:
    """The keys of the tenant's objects, as they lie on the disk."""
    folder = bench.home.objects / hashlib.sha256(bench.tenant.encode()).hexdigest()
    for file in folder.iterdir() if folder.exists() else ():
        yield key_of(file.read_bytes())


def key_of(content: bytes) -> str:
    """The key in an object's header; see services/storage/backends/local.py."""
    (length,) = struct.unpack(">I", content[:4])
    key: str = json.loads(content[4 : 4 + length])[0]
    return key
