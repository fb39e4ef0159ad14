"""The predecessor's 24 scenarios, by its script's names, with assertions that can fail.

Each is a function of a stand. What a vendor alone has (a key, a rate limit, an invoice) is asserted in local
mode on what local work does in its place.
"""

from __future__ import annotations

import datetime
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from services.storage.backends.port import MAX_OBJECT_BYTES
from tests import hostile_pdfs
from tests.pipeline.test_kill import check_whole
from tests.scenarios.stand import LIVE, LOCAL, Stand, fetch, sha256_of
from tests.waiting import eventually
from waybill import tokens
from waybill.cli.checks.finding import State
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.budget_pb2 import Budget, BudgetWindow
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import (
    GetBudgetRequest,
    ListPricesRequest,
    ReportRequest,
    ReportResponse,
    SetBudgetRequest,
)
from waybill.ledger.v1.report_pb2 import Grouping, ReportLine
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetRunRequest, SearchRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.runtime import wire
from waybill.runtime.errors import ServiceError
from waybill.stack.probe import NOT_SERVING, SERVING
from waybill.storage.v1 import object_storage_service_pb2 as storage_pb
from waybill.vendors.registry import OPENAI, SUPABASE
from waybill.vendors.supabase import BUCKET_BYTES

HANDBOOK = Path(__file__).parents[2] / "examples" / "documents" / "brannock-sound-handbook.pdf"
QUESTION, ANSWER_PAGE = "How much bleach should go into a cistern of rainwater before we drink it?", 11
CONTENT = bytes(range(256)) * 1200
TEXTS = ("The tide turns at noon.", "A pendulum of brass.", "Two pennies on the clock.")
REFUSED = (400, 403, 404, 410)
READY, FAILED = ParseJob.STATE_SUCCEEDED, ParseJob.STATE_FAILED
# What of a service a scenario needs: with one of these broken it is red.
OBJECTS, PARSES, VECTORS = "storage", "parser", "embedder"
STORAGE, LLAMAPARSE, OPENAI_GROUP, END_TO_END, COST = "Storage", "LlamaParse", "OpenAI", "E2E", "Cost"


@dataclass(frozen=True)
class Scenario:
    """One of the 24.

    Attributes:
        group: The service in the seed's table.
        name: In the seed's script.
        needs: Services without whose vendor it cannot pass.
        check: Raises what it finds wrong.
    """

    group: str
    name: str
    needs: frozenset[str]
    check: Callable[[Stand], None]

    @property
    def title(self) -> str:
        """Unlike the name, it is there once."""
        return f"{self.group}: {self.name}"


SCENARIOS: list[Scenario] = []
Check = Callable[[Stand], None]


def scenario(group: str, name: str, *needs: str) -> Callable[[Check], Check]:
    """Adds a function to the 24."""

    def add(check: Check) -> Check:
        SCENARIOS.append(Scenario(group, name, frozenset(needs), check))
        return check

    return add


@contextmanager
def refusal(reason: str) -> Iterator[None]:
    """The block's call fails for just this reason, and says what to do."""
    with pytest.raises(ServiceError) as caught:
        yield
    assert caught.value.reason == reason, caught.value
    assert caught.value.message


# Storage


@scenario(STORAGE, "bucket_operations", OBJECTS)
def buckets_are_there_as_they_must_be(at: Stand) -> None:
    if at.mode == LOCAL:
        for folder in (at.bench.home.objects, at.bench.home.objects.parent):
            assert stat.S_IMODE(folder.stat().st_mode) & 0o066 == 0, "others can read the objects"
        with refusal("OBJECT_TOO_LARGE"):
            at.put("k", b"", size_bytes=MAX_OBJECT_BYTES + 1)
        assert at.put("k", b"x", content_type="application/jsonl").content_type == "application/jsonl"
        return
    states = {name: finding.state for name, finding in at.doctor("storage").items()}
    assert states == dict.fromkeys(("reachability", "key", "bucket", "limits", "media types"), State.OK)
    if at.mode == LIVE:
        return
    (bucket,) = at.ask_vendor("storage", "/storage/v1/bucket")
    assert (bucket["id"], bucket["public"]) == ("waybill", False)
    assert bucket["file_size_limit"] >= BUCKET_BYTES
    assert {"application/*", "text/*"} <= {*bucket["allowed_mime_types"]}


@scenario(STORAGE, "health_check", OBJECTS)
def storage_says_how_it_is(at: Stand) -> None:
    assert at.health("storage") == SERVING
    if at.mode == LOCAL:
        assert at.doctor("storage")["key"].state is State.SKIPPED, "a local store has a key"
        incoming = at.bench.home.objects / "incoming"
        incoming.rename(aside := incoming.with_name("aside"))
        try:
            eventually(lambda: at.health("storage") == NOT_SERVING, "a store without its folder is ill")
        finally:
            aside.rename(incoming)
        eventually(lambda: at.health("storage") == SERVING, "a store with its folder is well")
        return
    check_latency(at, "storage")
    if at.simulated:
        with at.bad_key("storage"):
            with refusal("VENDOR_KEY_REFUSED"):
                at.put("k", b"x")
            check_refused(at, "storage")


def check_latency(at: Stand, service: str) -> None:
    """The doctor measures a vendor's answer."""
    told = at.doctor(service)["reachability"]
    assert told.state is State.OK, told
    milliseconds = int(told.detail.split(" answers in ")[1].removesuffix(" ms"))
    assert milliseconds >= at.latencies.get(service, 0) * 1000


def check_refused(at: Stand, service: str) -> None:
    """A key that is refused: NOT_SERVING, and said to be the key."""
    eventually(lambda: at.health(service) == NOT_SERVING, f"{service} is said not to work")
    assert at.health(service, "credential") == NOT_SERVING


@scenario(STORAGE, "file_upload", OBJECTS)
def a_file_is_stored_whole(at: Stand) -> None:
    seen = at.seen("storage")
    stored = at.put("a/file.bin", CONTENT)
    known = at.stat("a/file.bin")
    assert (known.size_bytes, known.sha256) == (len(CONTENT), sha256_of(CONTENT))
    assert stored == known
    if at.mode == LOCAL:
        files = [path for path in at.bench.home.objects.rglob("*") if path.is_file()]
        assert any(CONTENT in path.read_bytes() for path in files), "no file has the bytes"
    elif at.simulated:
        (line,) = at.asked("storage", seen, "object.write")
        assert (line.status, line.body_sha256) == (200, sha256_of(CONTENT))


@scenario(STORAGE, "file_download", OBJECTS)
def a_file_comes_back_byte_for_byte(at: Stand) -> None:
    at.put("a/file.bin", CONTENT)
    assert at.get("a/file.bin") == CONTENT
    part = storage_pb.GetObjectRequest(key="a/file.bin", offset_bytes=1000, limit_bytes=70_000)
    answers = at.bench.client.storage.GetObject(part)
    assert b"".join(answer.data for answer in answers) == CONTENT[1000:71_000]
    with refusal("OBJECT_NOT_FOUND"):
        at.get("a/nothing")


@scenario(STORAGE, "signed_urls", OBJECTS)
def a_link_serves_one_object_for_a_while(at: Stand) -> None:
    at.put("a/file.bin", CONTENT)
    short, long = at.link("a/file.bin", 1 if at.mode == LOCAL else 60), at.link("a/file.bin", 3600)
    assert short.expire_time.ToNanoseconds() < long.expire_time.ToNanoseconds() - 3_000 * 10**9
    answer = fetch(long.url)
    assert (answer.status, answer.body == CONTENT) == (200, True)
    token = parse_qs(urlsplit(long.url).query)["token"][0]
    middle = len(token) // 2
    tampered = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    assert fetch(long.url.replace(token, tampered)).status in REFUSED
    if at.simulated:
        at.vendors["storage"].clock.advance(61)
    if at.mode != LIVE:
        eventually(lambda: fetch(short.url).status in REFUSED, "a link ends with its life")
        assert fetch(long.url).status == 200


@scenario(STORAGE, "file_metadata", OBJECTS)
def metadata_comes_back_and_an_update_updates(at: Stand) -> None:
    at.put("a/file.bin", CONTENT, metadata={"author": "Ines Ó", "year": "1974"})
    before = at.stat("a/file.bin")
    assert dict(before.metadata) == {"author": "Ines Ó", "year": "1974"}
    change = storage_pb.UpdateObjectMetadataRequest(key="a/file.bin", metadata={"year": "1975"})
    told = at.bench.client.storage.UpdateObjectMetadata(change).object
    after = at.stat("a/file.bin")
    assert dict(told.metadata) == dict(after.metadata) == {"year": "1975"}
    assert (after.sha256, at.get("a/file.bin")) == (before.sha256, CONTENT)


# LlamaParse


@scenario(LLAMAPARSE, "health_check", OBJECTS, PARSES)
def the_parser_says_how_it_is(at: Stand) -> None:
    assert at.health("parser") == SERVING
    if at.mode == LOCAL:
        assert at.doctor("parser")["key"].state is State.SKIPPED
        return
    check_latency(at, "parser")
    if at.simulated:
        with at.bad_key("parser"):
            assert at.doctor("parser")["key"].state is State.FAILED
            assert (
                at.parse("tides.pdf", hostile_pdfs.simple(at.correlation_id)).reason == "VENDOR_KEY_REFUSED"
            )
            check_refused(at, "parser")


@scenario(LLAMAPARSE, "api_connectivity", OBJECTS, PARSES)
def a_page_is_really_parsed(at: Stand) -> None:
    seen = at.seen("parser")
    job = at.parse("tides.pdf", content := hostile_pdfs.simple(f"Quiet water {at.correlation_id}"))
    assert (job.state, job.reason, job.page_count) == (READY, "", 1)
    (page,) = at.pages(job)
    if at.mode != LIVE:
        check_pages(at, content, [page])
    if at.simulated:
        lines = at.asked("parser", seen)
        assert not {"unknown", "foreign"} & {line.operation for line in lines}, "a route that is not there"
        assert [line.status for line in lines if line.operation == "parse.create"] == [200]


def check_pages(at: Stand, content: bytes, pages: Sequence[str]) -> None:
    """These are the pages of this document, in order: its text, or what the simulator makes of its bytes."""
    for number, page in enumerate(pages, 1):
        if at.mode == LOCAL:
            assert page.strip() == f"Quiet water {at.correlation_id} {number}"
        else:
            assert mark_of(content, number) in page
            assert len(page.split()) > 40


def mark_of(content: bytes, number: int) -> str:
    """A word that the simulator puts on one page of one document."""
    return f"sim:{sha256_of(content)[:12]}:p{number}"


@scenario(LLAMAPARSE, "rate_limiting", OBJECTS, PARSES)
def the_parser_keeps_to_the_vendors_rate(at: Stand) -> None:
    if at.mode == LIVE:
        pytest.skip("not in live: the vendor's limit is not ours to lower")
    if at.mode == LOCAL:
        # Nobody limits it: what comes at once is all done, each in one attempt.
        with ThreadPoolExecutor(8) as callers:
            jobs = list(callers.map(lambda n: at.parse(f"{n}.txt", b"Lock %d opens." % n), range(8)))
        assert [job.state for job in jobs] == [READY] * 8
        assert [entry.attempt for entry in at.entries()] == [1] * 8
        return
    seen = at.seen("parser")
    with at.faulty("parser", "F02/0:times=2"):
        job = at.parse("tides.pdf", hostile_pdfs.simple(f"Quiet water {at.correlation_id}"))
    assert (job.state, job.reason) == (READY, "")
    assert [line.status for line in at.asked("parser", seen, "parse.create")] == [429, 429, 200]
    states = [entry.state for entry in at.entries()]
    assert states.count(Entry.STATE_SETTLED) == 1
    assert Entry.STATE_IN_DOUBT not in states


# A fault, the job's reason, and how often the vendor is asked to begin it.
PARSER_FAULTS = (
    ("F03:times=1", "", 2),
    ("F22/PDF_IS_PROTECTED:n=1", "PDF_IS_PROTECTED", 1),
    ("F22/NO_DATA_FOUND_IN_FILE:n=1", "DOCUMENT_EMPTY", 1),
    ("F27/all:n=1", "VENDOR_PARSE_FAILED", 1),
    ("F34", "VENDOR_QUOTA_EXHAUSTED", 1),
    ("401", "VENDOR_KEY_REFUSED", 1),
)
LOCAL_FAULTS = (
    ("a.pdf", hostile_pdfs.encrypted(), "PDF_IS_PROTECTED"),
    ("b.pdf", hostile_pdfs.truncated(), "PDF_IS_BROKEN"),
    ("c.pdf", hostile_pdfs.random_bytes(), "PDF_IS_BROKEN"),
    ("d.txt", b" \n\t ", "DOCUMENT_EMPTY"),
    ("e.exe", b"MZ" + bytes(range(256)) * 9, "FILE_TYPE_UNSUPPORTED"),
    ("f.pdf", hostile_pdfs.without_text(), "DOCUMENT_EMPTY"),
)


@scenario(LLAMAPARSE, "error_handling", OBJECTS, PARSES)
def each_fault_of_a_parse_has_its_class(at: Stand) -> None:
    if at.simulated:
        found = [(fault, *broken_parse(at, fault)) for fault, _, _ in PARSER_FAULTS]
        assert found == [*PARSER_FAULTS]
    else:
        # What is read here is refused here, whoever the vendor is.
        # A page without text is the vendor's to read.
        faults = LOCAL_FAULTS if at.mode == LOCAL else LOCAL_FAULTS[:-1]
        reasons = [(name, content, at.parse(name, content).reason) for name, content, _ in faults]
        assert reasons == [*faults]
    with refusal("OBJECT_NOT_FOUND"):
        at.get("parsed/of-nothing")


def broken_parse(at: Stand, fault: str) -> tuple[str, int]:
    """A job's reason where this breaks it, and how often the vendor was asked to begin it."""
    seen = at.seen("parser")
    with at.faulty("parser", fault):
        job = at.parse("tides.pdf", hostile_pdfs.simple(f"{fault} {at.correlation_id}"))
    assert job.state == (FAILED if job.reason else READY), job
    assert bool(job.message) == bool(job.reason), "a failure says what to do"
    return job.reason, len(at.asked("parser", seen, "parse.create"))


# OpenAI


@scenario(OPENAI_GROUP, "health_check", VECTORS)
def the_embedder_says_how_it_is(at: Stand) -> None:
    assert at.health("embedder") == SERVING
    if at.mode == LOCAL:
        assert at.doctor("embedder")["key"].state is State.SKIPPED
        return
    check_latency(at, "embedder")
    if at.simulated:
        with at.bad_key("embedder"):
            with refusal("VENDOR_KEY_REFUSED"):
                at.embed("A key that is refused.")
            check_refused(at, "embedder")


@scenario(OPENAI_GROUP, "api_connectivity", VECTORS)
def a_text_is_really_embedded(at: Stand) -> None:
    seen = at.seen("embedder")
    answer = at.embed(TEXTS[0])
    (entry,) = at.entries()
    assert list(answer.entry_ids) == [entry.entry_id]
    assert (entry.vendor, entry.state) == (at.backend("embedder"), Entry.STATE_SETTLED)
    if at.simulated:
        (line,) = [one for one in at.asked("embedder", seen) if one.client_request_id == entry.entry_id]
        assert (line.method, line.path, line.status) == ("POST", "/v1/embeddings", 200)


@scenario(OPENAI_GROUP, "models_endpoint", VECTORS)
def the_configured_model_is_there(at: Stand) -> None:
    answer = at.embed(TEXTS[0])
    if at.mode == LOCAL:
        (entry,) = at.entries()
        assert answer.model.startswith("wordllama")
        assert (entry.model, entry.would_cost.model) == ("word vectors", OPENAI.default_subject)
        return
    told = at.doctor("embedder")["model"]
    assert (told.state, told.detail) == (State.OK, OPENAI.default_subject)
    assert answer.model == OPENAI.default_subject
    if at.simulated:
        names = [model["id"] for model in at.ask_vendor("embedder", "/v1/models")["data"]]
        assert OPENAI.default_subject in names


@scenario(OPENAI_GROUP, "embedding_generation", VECTORS)
def vectors_are_whole_and_in_order(at: Stand) -> None:
    answer, alone = at.embed(*TEXTS), at.embed(TEXTS[1])
    assert answer.vectors.shape == (3, 256 if at.mode == LOCAL else 1536)
    assert np.allclose(np.linalg.norm(answer.vectors, axis=1), 1, atol=1e-3)
    # A text has the same vector wherever it stands, and no other text has it.
    assert np.abs(answer.vectors[1] - alone.vectors[0]).max() < 1e-3
    assert np.abs(answer.vectors[0] - answer.vectors[1]).max() > 1e-2
    if at.mode != LOCAL:
        assert answer.tokens == sum(tokens.count(TEXTS, answer.model))
    first = next(entry for entry in at.entries() if entry.entry_id in answer.entry_ids)
    assert first.quantity == answer.tokens > 0


@scenario(OPENAI_GROUP, "rate_limiting", VECTORS)
def the_embedder_keeps_to_the_vendors_bucket(at: Stand) -> None:
    if at.mode == LIVE:
        pytest.skip("not in live: the vendor's limit is not ours to lower")
    texts = [f"Lock {n} of {at.correlation_id} opens at noon." for n in range(12)]
    seen = at.seen("embedder")
    if at.simulated:
        # Four at once, then one in 0.2 s.
        at.vendors["embedder"].limit(requests_per_minute=300, burst_requests=4)
    try:
        with ThreadPoolExecutor(len(texts)) as callers:
            answers = list(callers.map(at.embed, texts))
    finally:
        if at.simulated:
            at.vendors["embedder"].change("/limits", requests_per_minute=10_000, burst_requests=None)
    assert len(answers) == len(texts), "work was lost"
    settled = [entry for entry in at.entries() if entry.state == Entry.STATE_SETTLED]
    assert len(settled) == len({entry.spend_key for entry in settled}) == len(texts)
    if at.simulated:
        lines = at.asked("embedder", seen, "embeddings")
        taken = [line.time for line in lines if line.status == 200]
        assert len(taken) == len(texts)
        assert max(taken) - min(taken) > 0.9 * 0.2 * (len(texts) - 4), "the bucket was never empty"
        assert sum(line.status == 429 for line in lines) <= 3 * len(texts), "an empty bucket was hammered"
    else:
        assert [entry.attempt for entry in settled] == [1] * len(texts)


@scenario(OPENAI_GROUP, "cost_tracking", VECTORS)
def a_row_of_the_ledger_is_usage_times_price(at: Stand) -> None:
    owed = at.invoiced()
    answer = at.embed(*TEXTS)
    (entry,) = at.entries()
    model = OPENAI.default_subject
    (price,) = {
        one.nano_usd_per_million
        for one in at.bench.client.ledger.ListPrices(ListPricesRequest()).prices
        if (one.vendor, one.model, one.unit) == (OPENAI.name, model, "token")
    }
    assert (entry.quantity, entry.unit) == (answer.tokens, "token")
    if at.mode == LOCAL:
        assert (entry.kind, entry.reported_nano_usd) == (CostKind.COST_KIND_LOCAL, 0)
        assert entry.would_cost.nano_usd == -(-entry.quantity * price // 10**6)
        return
    assert entry.reported_nano_usd == entry.quantity * price // 10**6 > 0
    if at.simulated:
        assert at.invoiced() - owed == entry.reported_nano_usd


# End to end


@scenario(END_TO_END, "storage_to_llamaparse", OBJECTS, PARSES)
def a_stored_file_is_what_is_parsed(at: Stand) -> None:
    content = hostile_pdfs.simple(f"Quiet water {at.correlation_id}", pages=3)
    job = at.parse("tides.pdf", content)
    assert (job.state, job.page_count, job.source_sha256) == (READY, 3, sha256_of(content))
    pages = at.pages(job)
    assert len(pages) == 3
    if at.mode != LIVE:
        check_pages(at, content, pages)
    with refusal("OBJECT_NOT_FOUND"):
        at.bench.client.storage.StatObject(storage_pb.StatObjectRequest(key="sources/" + "0" * 64))


@scenario(END_TO_END, "llamaparse_to_openai", OBJECTS, PARSES, VECTORS)
def chunks_of_the_parsed_text_are_what_is_embedded(at: Stand) -> None:
    at.run("tides.pdf", hostile_pdfs.simple(f"Quiet water {at.correlation_id}", pages=3))
    rows = at.bench.indexed()
    assert {row["page"] for row in rows} <= {1, 2, 3}
    assert rows
    if at.mode == LOCAL:
        assert all(at.correlation_id in row["text"] for row in rows)
    texts = [f"{row['heading']}\n\n{row['text']}" if row["heading"] else row["text"] for row in rows]
    stored = np.array([[float(one) for one in row["vector"].strip("[]").split(",")] for row in rows])
    assert np.abs(stored - at.embed(*texts).vectors).max() < 2e-3, "a chunk has another text's vector"


@scenario(END_TO_END, "complete_workflow", OBJECTS, PARSES, VECTORS)
def a_document_goes_in_and_a_hit_comes_out_with_one_trace_and_one_bill(at: Stand) -> None:
    owed = at.invoiced()
    run = at.run(HANDBOOK.name, HANDBOOK.read_bytes())
    entries = at.bench.entries(run.run_id)
    assert {entry.operation for entry in entries} == {"parse", "embed"}
    spent = sum(entry.reported_nano_usd + entry.adjusted_nano_usd for entry in entries)
    if at.simulated:
        eventually(lambda: billed(at, run.run_id) == at.invoiced() - owed, "the bill is the invoices")
        spent = billed(at, run.run_id)
    again = at.bench.client.orchestrator.GetRun(GetRunRequest(run_id=run.run_id)).run
    assert again.cost_nano_usd + again.simulated_nano_usd == spent
    assert (spent == 0) == (at.mode == LOCAL)
    check_whole(at.bench, run.run_id)
    # A simulated parse has words of its own, and its vectors no meaning.
    question = mark_of(HANDBOOK.read_bytes(), ANSWER_PAGE) if at.simulated else QUESTION
    hits = at.bench.client.orchestrator.Search(SearchRequest(query=question, limit=3)).hits
    assert (HANDBOOK.name, ANSWER_PAGE) in [(hit.document_key, hit.chunk.page) for hit in hits]


def billed(at: Stand, run_id: str) -> int:
    """What a run has cost by the ledger, nano-USD."""
    entries = at.bench.entries(run_id)
    return sum(entry.reported_nano_usd + entry.adjusted_nano_usd for entry in entries)


@scenario(END_TO_END, "error_recovery", OBJECTS, PARSES, VECTORS)
def a_dead_vendor_and_a_killed_worker_cost_no_run_and_no_money_twice(at: Stand) -> None:
    if at.mode == LIVE:
        pytest.skip("not in live: a vendor does not die on request")
    content = hostile_pdfs.simple(f"Quiet water {at.correlation_id}", pages=2)
    if at.mode == LOCAL:
        at.bench.arm("embedder.embed.under_way", "kill")
    else:
        at.vendors["embedder"].change("/outage")
    try:
        run_id = at.bench.client.ingest(at.bench.file("tides.pdf", content)).run_id
        at.bench.reach(run_id, "embed")
        if at.simulated:
            at.bench.kill("embedder")
    finally:
        if at.simulated:
            at.vendors["embedder"].change("/outage", end=True)
    run = at.bench.finish(run_id)
    assert (run.state, run.reason) == (Run.STATE_READY, "")
    eventually(
        lambda: Entry.STATE_HELD not in {one.state for one in at.bench.entries(run_id)},
        "nothing is open",
    )
    entries = [entry for entry in at.bench.entries(run_id) if entry.state == Entry.STATE_SETTLED]
    assert sorted(entry.operation for entry in entries) == ["embed", "parse"], "something was bought twice"
    if at.mode == LOCAL:
        assert at.bench.used("embedder.embed.under_way")
    else:
        ids = {entry.entry_id for entry in at.bench.entries(run_id)}
        lines = [line for line in at.asked("embedder", 0) if line.client_request_id in ids]
        assert sum(line.billed_nano_usd > 0 for line in lines) == 1
    eventually(at.bench.all_serving, "the stack serves again")


# Cost


@scenario(COST, "cost_monitoring", OBJECTS, PARSES, VECTORS)
def the_ledgers_figures_are_the_vendors_invoices(at: Stand) -> None:
    owed = at.invoiced()
    for n in range(2):
        at.run(f"{n}.pdf", hostile_pdfs.simple(f"Quiet water {n} {at.correlation_id}", pages=n + 1))
    if at.simulated:
        eventually(lambda: total(at) == at.invoiced() - owed, "the books are those of the vendors")
        assert total(at) > 0
    elif at.mode == LOCAL:
        assert total(at) == 0
        expected = sum(entry.would_cost.nano_usd for entry in at.entries())
        lines = report(at, Grouping.GROUPING_SERVICE)
        assert sum(line.would_cost_nano_usd for line in lines) == expected > 0
    else:
        assert total(at) == sum(e.reported_nano_usd + e.adjusted_nano_usd for e in at.entries()) > 0


def report(at: Stand, by: Grouping) -> Sequence[ReportLine]:
    """The tenant's report."""
    lines = reported(at, by).lines
    # What is read of a bucket is counted too, for all of a tenant's reads and some time later.
    return [line for line in lines if line.vendor != SUPABASE.name]


def total(at: Stand) -> int:
    """What the tenant owes by the report, nano-USD."""
    lines = report(at, Grouping.GROUPING_SERVICE)
    return sum(line.settled_nano_usd + line.adjusted_nano_usd for line in lines)


def reported(at: Stand, by: Grouping) -> ReportResponse:
    """All days from yesterday to tomorrow."""
    today = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since, until = (wire.timestamp(today + datetime.timedelta(days=days)) for days in (-1, 2))
    request = ReportRequest(since=since, until=until, by=by, page_size=1000)
    return at.bench.client.ledger.Report(request)


@scenario(COST, "budget_enforcement", VECTORS)
def a_budget_is_not_passed_by_those_who_ask_at_once(at: Stand) -> None:
    kind = CostKind.COST_KIND_SIMULATED if at.simulated else CostKind.COST_KIND_REAL
    limit = 0 if at.mode == LOCAL else 3
    budget = Budget(
        service="embedder", kind=kind, unit=Budget.UNIT_REQUESTS, period=Budget.PERIOD_DAY, limit=limit
    )
    budget_id = at.bench.client.ledger.SetBudget(SetBudgetRequest(budget=budget)).budget.budget_id
    seen = at.seen("embedder")

    def reason(n: int) -> str:
        try:
            at.embed(f"Pump {n} of {at.correlation_id}.")
        except ServiceError as error:
            return error.reason
        return ""

    with ThreadPoolExecutor(10) as callers:
        reasons = list(callers.map(reason, range(10)))
    window = budget_of(at, budget_id)
    if at.mode == LOCAL:
        # Work of this machine is nobody's bill: no budget stops it, and it uses up none.
        assert (reasons, window.used) == ([""] * 10, 0)
        return
    assert sorted(reasons) == [""] * 3 + ["BUDGET_EXCEEDED"] * 7
    assert (window.used, window.held, window.in_doubt) == (3, 0, 0)
    if at.simulated:
        assert [line.status for line in at.asked("embedder", seen, "embeddings")] == [200] * 3


def budget_of(at: Stand, budget_id: str) -> BudgetWindow:
    """How much of a budget is used."""
    return at.bench.client.ledger.GetBudget(GetBudgetRequest(budget_id=budget_id)).budget.window


@scenario(COST, "usage_tracking", OBJECTS, PARSES, VECTORS)
def each_breakdown_adds_up_to_the_ledger(at: Stand) -> None:
    at.run("tides.pdf", hostile_pdfs.simple(f"Quiet water {at.correlation_id}", pages=2))
    at.embed(*TEXTS)
    entries = at.entries()
    expected = usage(entries)
    assert len(entries) == sum(attempts for attempts, _, _ in expected.values()) >= 3
    for by in (Grouping.GROUPING_DAY, Grouping.GROUPING_SERVICE, Grouping.GROUPING_MODEL):
        found: dict[str, tuple[int, int, int]] = {}
        for line in report(at, by):
            before = found.get(line.unit, (0, 0, 0))
            figures = (line.attempts, line.quantity, line.settled_nano_usd)
            found[line.unit] = tuple(map(sum, zip(before, figures, strict=True)))  # type: ignore[assignment]
        assert found == expected, Grouping.Name(by)


def usage(entries: Sequence[Entry]) -> Mapping[str, tuple[int, int, int]]:
    """Attempts, units and nano-USD by unit."""
    units = {entry.unit for entry in entries}
    of = {unit: [entry for entry in entries if entry.unit == unit] for unit in units}
    return {
        unit: (len(those), sum(e.quantity for e in those), sum(e.reported_nano_usd for e in those))
        for unit, those in of.items()
    }


@scenario(COST, "cost_optimization", OBJECTS, PARSES, VECTORS)
def what_is_known_costs_nothing_and_texts_go_in_as_few_requests_as_can_be(at: Stand) -> None:
    parts = (f"# Part {n}\n\n" + f"Sentence {n} of {at.correlation_id}. " * 30 for n in range(24))
    content = "\n\n".join(parts)
    run = at.run("notes.md", content.encode())
    bought = [entry for entry in at.bench.entries(run.run_id) if entry.operation == "embed"]
    assert run.chunks > 8
    assert len(bought) == 1, "texts of one request went in several"
    pdf = hostile_pdfs.simple(f"Quiet water {at.correlation_id}", pages=2)
    at.run("tides.pdf", pdf)
    seen = {service: at.seen(service) for service in ("parser", "embedder")}
    again = at.bench.ingest(at.bench.file("tides.pdf", pdf))
    assert (again.state, at.bench.entries(again.run_id)) == (Run.STATE_UNCHANGED, [])
    copied = at.run("copy.pdf", pdf)
    assert at.bench.entries(copied.run_id) == [], "what the tenant has already was bought again"
    if at.simulated:
        lines = [line for service, n in seen.items() for line in at.asked(service, n)]
        assert sum(line.billed_nano_usd for line in lines) == 0


# Of the seed's table.
GROUPS = tuple(dict.fromkeys(one.group for one in SCENARIOS))
