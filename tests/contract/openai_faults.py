"""What the embedder makes of each fault of OpenAI's catalogue; `docs/faults.md` is made of this."""

from __future__ import annotations

from dataclasses import dataclass

from tests.contract import llamaparse_faults, postgres_faults, supabase_faults
from tests.waiting import PATIENCE_SECONDS

REQUEST_DEADLINE_SECONDS = 30.0


@dataclass(frozen=True)
class Row:
    """One fault and its outcome.

    Attributes:
        fault: As the simulator takes it.
        what: In words.
        answer: Code and reason that the caller gets; empty where it gets its vectors.
        wire: Requests that reached the vendor; None where time decides.
        settled, released, doubt: Ledger entries by their end; released None where time decides.
        calls: Calls of the embedder, one after the other.
        spare_key: A second key is at hand.
        in_run: Asked by a run, which gives up 2 s after it began where the vendor is down.
    """

    fault: str
    what: str
    answer: str = ""
    wire: int | None = 1
    settled: int = 0
    released: int | None = 0
    doubt: int = 0
    calls: int = 1
    spare_key: bool = False
    in_run: bool = True

    @property
    def name(self) -> str:
        """O01 … O35."""
        return self.fault[:3]


@dataclass(frozen=True)
class BatchRow:
    """One fault of a batch job of ten lines with a text each, and what it comes to.

    Attributes:
        fault: As the simulator takes it; empty where nothing breaks.
        what: In words.
        answer: Code and reason of CreateBatchJob; empty where there is a job. It is cancelled by its key
            then.
        wire: Requests that create a batch.
        vectors: How many CollectBatchJob answers.
        settled, released, doubt: Ledger entries by their end.
        code: The outcome's.
        seconds: How far the vendor's clock goes before the job is collected.
        cancel_after: When it is cancelled before that; None where it is not.
    """

    fault: str
    what: str
    answer: str = ""
    wire: int = 1
    vectors: int = 0
    settled: int = 0
    released: int = 0
    doubt: int = 0
    code: str = ""
    seconds: float = 700
    cancel_after: float | None = None

    @property
    def name(self) -> str:
        """O31 …"""
        return self.fault[:3]


def attempt_seconds(row: Row | BatchRow) -> float:
    """What an attempt may take: little where time alone ends it, else all that a slow machine needs."""
    return 2.0 if row.name in ("O05", "O06") else PATIENCE_SECONDS


INVALID = "ABORTED VENDOR_ANSWER_INVALID"
UNUSABLE = "ABORTED EMBEDDING_INVALID"
BROKE = "RESOURCE_EXHAUSTED VENDOR_QUOTA_EXHAUSTED"
LIMITED = "UNAVAILABLE VENDOR_RATE_LIMITED"

ROWS = [
    Row("O01", "connection refused", "UNAVAILABLE VENDOR_UNREACHABLE", 0, released=None),
    Row("O01/1:n=1", "an outage of 1 s begins", wire=2, settled=1, released=None, doubt=1, in_run=False),
    Row("O02:times=1", "reset before the work", wire=2, settled=1, doubt=1),
    Row("O03:times=1", "reset after the work: the reply is lost", wire=2, settled=1, doubt=1),
    Row("O04:times=1", "half a body", wire=2, settled=1, doubt=1),
    Row("O05:times=1", "a byte every 100 ms", wire=2, settled=1, doubt=1),
    Row("O06:times=1", "headers, then silence", wire=2, settled=1, doubt=1),
    Row("O07/1:times=2", "429, Retry-After 1", wire=3, settled=1, released=2),
    Row("O07/0:times=2", "429, Retry-After 0", wire=3, settled=1, released=2),
    Row("O07/120", "429, Retry-After 120: beyond the deadline", LIMITED, 1, released=1),
    Row("O07/garbage:times=2", "429, Retry-After is no number", wire=3, settled=1, released=2),
    Row("O07/none:times=2", "429 without Retry-After", wire=3, settled=1, released=2),
    Row("O08/12ms:times=2", "429, reset in 12 ms", wire=3, settled=1, released=2),
    Row("O08/1s:times=1", "429, reset in 1 s", wire=2, settled=1, released=1),
    Row("O08/6m0s", "429, reset beyond the deadline", LIMITED, 1, released=1),
    Row("O09/insufficient_quota", "no quota", BROKE, 1, released=1),
    Row("O09/credit_balance_exhausted", "no credit", BROKE, 1, released=1),
    Row("O09/organization_spend_limit_exceeded", "organisation's limit", BROKE, 1, released=1),
    Row("O09/project_spend_limit_exceeded", "project's limit", BROKE, 1, released=1),
    Row("O09/organization_usage_limit_exceeded", "organisation's usage", BROKE, 1, released=1),
    Row("O10:times=2", "500, twice", wire=3, settled=1, doubt=2),
    Row("O10", "500 for ever", "UNAVAILABLE VENDOR_ERROR", 6, doubt=6, in_run=False),
    Row("O11:times=1", "502 as HTML", wire=2, settled=1, doubt=1),
    Row("O12:times=1", "503, Retry-After 1", wire=2, settled=1, doubt=1),
    Row("O13", "401, no other key", "UNAUTHENTICATED VENDOR_KEY_REFUSED", 1, released=1),
    Row("O13:times=1", "401, another key is at hand", wire=2, settled=1, released=1, spare_key=True),
    Row("O14", "403", "UNAUTHENTICATED VENDOR_ACCESS_REFUSED", 1, released=1),
    Row("O15", "404, no such model", "FAILED_PRECONDITION VENDOR_MODEL_UNKNOWN", 1, released=1),
    Row("O16", "400, one input too long", "INVALID_ARGUMENT VENDOR_REFUSED_TEXTS", 1, released=1),
    Row("O17", "400, too many tokens", "INVALID_ARGUMENT VENDOR_REFUSED_TEXTS", 1, released=1),
    Row("O18:times=1", "truncated JSON, once", wire=2, settled=1, doubt=1),
    Row("O18", "truncated JSON", INVALID, 2, doubt=2),
    Row("O19", "HTML with status 200", INVALID, 2, doubt=2),
    Row("O20:times=1", "a vector too few, once", wire=2, settled=2),
    Row("O20", "a vector too few", UNUSABLE, 2, settled=2),
    Row("O21", "reversed, with right indexes", settled=1),
    Row("O22", "vectors exchanged under right-looking indexes: nothing shows it", settled=1),
    Row("O23", "a vector is null", UNUSABLE, 2, settled=2),
    Row("O24", "wrong dimension", UNUSABLE, 2, settled=2),
    Row("O24/float64", "float64 instead of float32", UNUSABLE, 2, settled=2),
    Row("O25", "NaN", UNUSABLE, 2, settled=2),
    Row("O25/inf", "infinity", UNUSABLE, 2, settled=2),
    Row("O26", "a vector of zeros", UNUSABLE, 2, settled=2),
    Row("O27", "usage is missing", doubt=1),
    Row("O27/null", "usage is null", doubt=1),
    Row("O27/wrong", "usage is not what the tokenizer counts", doubt=1),
    Row("O28", "a gzip bomb", INVALID, 2, doubt=2),
    Row("O29", "a redirect to another host", "ABORTED VENDOR_REDIRECTED", 2, doubt=2),
    Row("O30:times=1", "an idle connection is closed under a request", wire=2, settled=2, doubt=1, calls=2),
    Row("O35", "another model answers", UNUSABLE, 2, settled=2),
]

LIED = "op=batches.create"
BATCH_ROWS = [
    BatchRow("", "nothing breaks", vectors=10, settled=10),
    BatchRow("O31:n=1", "create's reply is lost: found by its key", vectors=10, settled=10),
    BatchRow("O31", "every create's reply is lost", vectors=10, settled=10),
    BatchRow("O02:op=batches.create:times=1", "reset before the create", wire=2, vectors=10, settled=10),
    BatchRow("O03:op=files.create:times=1", "the upload's reply is lost", vectors=10, settled=10),
    BatchRow("500:op=batches.create", "500 for ever", "UNAVAILABLE VENDOR_ERROR", 6, released=10),
    BatchRow("O14:op=batches.create", "403", "UNAUTHENTICATED VENDOR_ACCESS_REFUSED", released=10),
    BatchRow("O09:op=batches.create", "no quota", BROKE, released=10),
    BatchRow(
        "404:op=files.create", "no such tier", "FAILED_PRECONDITION BATCHES_NOT_OFFERED", 0, released=10
    ),
    BatchRow("O32:n=1", "every third request fails", vectors=7, settled=7, released=3, code="server_error"),
    BatchRow(
        "O33:n=1",
        "expires half done",
        vectors=5,
        settled=5,
        released=5,
        code="batch_expired",
        seconds=24 * 3600,
    ),
    BatchRow(
        "",
        "cancelled half done",
        vectors=5,
        settled=5,
        released=5,
        code="batch_cancelled",
        cancel_after=305,
    ),
    BatchRow("", "cancelled before it began", released=10, code="batch_cancelled", cancel_after=0),
    BatchRow("O34/missing:n=1", "a custom_id is missing", vectors=9, settled=9, doubt=1),
    BatchRow("O34/twice:n=1", "a custom_id is there twice", vectors=10, settled=10),
    BatchRow("O34/reversed:n=1", "the lines are in reverse order", vectors=10, settled=10),
    BatchRow("O04:op=files.content:times=1", "half a result file, once", vectors=10, settled=10),
    BatchRow("O06:op=files.content:times=1", "a result file is silent, once", vectors=10, settled=10),
    BatchRow(f"O20:{LIED}", "each line has a vector too few", settled=10),
    BatchRow(f"O24:{LIED}", "each line: wrong dimension", settled=10),
    BatchRow(f"O25:{LIED}", "each line: NaN", settled=10),
    BatchRow(f"O27:{LIED}", "each line: usage is missing", vectors=10, doubt=10),
    BatchRow(f"O27/wrong:{LIED}", "each line: usage is not what the tokenizer counts", vectors=10, doubt=10),
    BatchRow(f"O35:{LIED}", "each line: another model answers", settled=10),
]


def page() -> str:
    """`docs/faults.md`."""
    lines = [
        "# What each fault of a vendor becomes",
        "",
        "Each row is a test. `python -m tests.contract.openai_faults` writes this page.",
        "",
        "## OpenAI",
        "",
        "In every row (`tests/contract/test_openai_faults.py`):",
        "settled ≤ the simulator's invoice ≤ settled + in doubt.",
        "",
        "`:times=1` breaks one request; a name alone breaks every request. A call has "
        f"{REQUEST_DEADLINE_SECONDS:g} s. Waybill's back-off is made short; a vendor's Retry-After is kept.",
        "",
        "| fault | what | the caller gets | requests on the wire | settled | released | in doubt |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        wire, released = (("*" if one is None else str(one)) for one in (row.wire, row.released))
        answer = row.answer or "its vectors"
        cells = [f"`{row.fault}`", row.what, answer, wire, str(row.settled), released, str(row.doubt)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            "\\* as many as time allows; none of them costs anything.",
            "",
            *_batches(),
            *llamaparse_faults.section(),
            *supabase_faults.section(),
            *postgres_faults.section(),
        ]
    )


def _batches() -> list[str]:
    lines = [
        "### The batch tier",
        "",
        "Each row is one job of ten requests (`test_openai_batch_faults.py`), and the same holds. A job that",
        "could not be created is cancelled by its key. A request that is settled without vectors had an",
        "answer that cannot be right. The caller embeds texts without a vector in another way.",
        "An outcome names the code of the first request that failed.",
        "",
        "| fault | what | the caller gets | creates on the wire | vectors | settled | released | in doubt |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in BATCH_ROWS:
        answer = row.answer or f"an outcome{f', {row.code}' if row.code else ''}"
        numbers = [str(one) for one in (row.wire, row.vectors, row.settled, row.released, row.doubt)]
        fault = f"`{row.fault}`" if row.fault else ""
        lines.append(f"| {' | '.join([fault, row.what, answer, *numbers])} |")
    return [*lines, ""]


if __name__ == "__main__":
    print(page(), end="")
