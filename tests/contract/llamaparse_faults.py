"""What the parser makes of each fault of LlamaCloud's catalogue; `docs/faults.md` is made of this."""

from __future__ import annotations

from dataclasses import dataclass

OURS, PDF, LONG = "tides.html", "tides.pdf", "long.pdf"


@dataclass(frozen=True)
class Row:
    """One fault and its outcome, once the vendor has told what it charged.

    Attributes:
        fault: As the simulator takes it.
        what: In words.
        answer: The job's reason; empty where it has its pages.
        failed_pages: Pages that are missing from the result, and named.
        creates: Requests that create a job, on the wire.
        jobs: Jobs that the vendor has begun.
        settled, released, doubt: Ledger entries by their end.
        document: OURS, three pages of the vendor's own; PDF, three, counted exactly; LONG, read by a link.
    """

    fault: str
    what: str
    answer: str = ""
    failed_pages: int = 0
    creates: int = 1
    jobs: int = 1
    settled: int = 1
    released: int = 0
    doubt: int = 0
    document: str = OURS

    @property
    def name(self) -> str:
        """F01 … F43."""
        return self.fault[:3]


ROWS = [
    Row("F01:times=2", "429 without Retry-After, twice", creates=3),
    Row("F02/1:times=1", "429, Retry-After 1", creates=2),
    Row("F02/0:times=2", "429, Retry-After 0", creates=3),
    Row("F02/date:times=1", "429, Retry-After is a date", creates=2),
    Row("F02/garbage:times=1", "429, Retry-After is no time", creates=2),
    Row("F03:times=1", "500", creates=2),
    Row("F04:times=1", "502 as HTML", creates=2),
    Row("F05:times=1", "503", creates=2),
    Row("F06:times=1", "504 after the work: the reply is lost"),
    Row("F07:times=1", "reset before the work", creates=2),
    Row("F08:times=1", "reset after the work: the reply is lost"),
    Row("F09:times=1", "half a body"),
    Row("F10:times=1", "truncated JSON"),
    Row("F11:times=1", "HTML with status 200"),
    Row("F12:times=1", "null"),
    Row("F13:times=1", "an empty body with status 200"),
    Row("F14", "an unknown status: it goes on, until its time is over", "VENDOR_RESULT_MISSING"),
    Row("F14/types:n=1", "wrong types, once"),
    Row("F14/types", "wrong types in each answer about the job", "VENDOR_ANSWER_INVALID", settled=0, doubt=1),
    Row("F15:n=1", "a result comes a byte every 100 ms, once"),
    Row("F16:times=1", "headers, then silence"),
    Row("F17:n=1", "a result is a gzip bomb, once"),
    Row("F17", "each answer about the job is a gzip bomb", "VENDOR_ANSWER_INVALID", settled=0, doubt=1),
    Row("F18", "a page of 40 MB: cut at 64 KB, and said"),
    Row("F19:times=1", "a redirect to another host, once", creates=2),
    Row("F19", "each create is redirected to another host", "VENDOR_REDIRECTED", creates=2, jobs=0, settled=0,
        released=1),
    Row("F20", "stuck as PENDING: cancelled at its deadline", "VENDOR_STUCK", settled=0, released=1),
    Row("F21", "stuck as RUNNING: cancelled at its deadline", "VENDOR_STUCK", settled=0, released=1),
    Row("F22", "FAILED", "VENDOR_PARSE_FAILED", settled=0, released=1),
    Row("F22/PDF_IS_PROTECTED", "FAILED: protected", "PDF_IS_PROTECTED", settled=0, released=1),
    Row("F22/PDF_IS_BROKEN", "FAILED: broken", "PDF_IS_BROKEN", settled=0, released=1),
    Row("F22/NO_DATA_FOUND_IN_FILE", "FAILED: empty", "DOCUMENT_EMPTY", settled=0, released=1),
    Row("F22/UNSUPPORTED_FILE_TYPE", "FAILED: type", "FILE_TYPE_UNSUPPORTED", settled=0, released=1),
    Row("F22/TOO_MANY_PAGES", "FAILED: too many pages", "DOCUMENT_TOO_LARGE", settled=0, released=1),
    Row("F22/TIMEOUT", "FAILED: the vendor's own time limit", "VENDOR_STUCK", settled=0, released=1),
    Row("F23", "FAILED without a message", "VENDOR_PARSE_FAILED", settled=0, released=1),
    Row("F24/2", "COMPLETED, its result 404 twice"),
    Row("F24", "COMPLETED, its result 404 for ever", "VENDOR_RESULT_MISSING"),
    Row("F25", "fewer pages than were counted", failed_pages=1, document=PDF),
    Row("F26", "a page comes twice"),
    Row("F26/order", "pages out of order"),
    Row("F27", "a page failed", failed_pages=1),
    Row("F27/all", "every page failed", "VENDOR_PARSE_FAILED"),
    Row("F28", "empty Markdown: derived from the text, and said"),
    Row("F29", "COMPLETED, then RUNNING again"),
    Row("F30/1", "not seen for 1 s after its creation"),
    Row("F31", "credits are never told: what was settled stays"),
    Row("F31/1", "credits are told late"),
    Row("F31/wrong", "twice the credits: an adjustment"),
    Row("F32", "the link to a result has expired, each time", "VENDOR_RESULT_MISSING", document=LONG),
    Row("F32/foreign", "the link leads to another host", "VENDOR_ANSWER_INVALID", document=LONG),
    Row("F33:n=1", "401 in mid-flight, another key is at hand"),
    Row("F33:times=4", "401 in mid-flight to both keys: asked again later"),
    Row("F34", "402", "VENDOR_QUOTA_EXHAUSTED", jobs=0, settled=0, released=1),
    Row("F35:times=1", "an idle connection is closed under the create"),
    Row("F36", "an event comes twice"),
    Row("F37", "an event is forged"),
    Row("F38", "an old event is replayed"),
    Row("F39", "the event comes before the create's reply"),
    Row("F40", "the event is lost"),
    Row("F41/1", "the event says success, the API RUNNING"),
    Row("F42", "an event is JSON in JSON"),
]  # fmt: skip
# Whose waits are over at once.
HURRIED = [Row("F02/120:times=1", "429, Retry-After 120: the create is repeated after 2 minutes", creates=2)]
# Of a parse that is cancelled while it runs.
CANCELLED = [
    Row("", "nothing breaks", "CANCELLED", settled=0, released=1),
    Row("F43:op=parse.cancel", "it completes in that moment (409): billed", "CANCELLED"),
    Row("500:op=parse.cancel:times=1", "500 to the first cancel", "CANCELLED", settled=0, released=1),
]


def section() -> list[str]:
    """LlamaParse's part of `docs/faults.md`."""
    head = "| fault | what | the job | missing pages | creates sent | jobs | settled | released | in doubt |"
    lines = [
        "## LlamaParse",
        "",
        "One document each; `test_llamaparse_faults.py` runs each row. In each, once the vendor has told",
        "its credits: it has begun at most one job, and what the ledger says is the simulator's invoice to",
        "the nano-dollar; where the vendor could not be asked for them, the doubt stays.",
        "",
        head,
        "|---|---|---|---|---|---|---|---|---|",
        *map(_line, sorted([*ROWS, *HURRIED], key=lambda row: row.name)),
        "",
        "Of a parse that is cancelled while it runs:",
        "",
        head,
        "|---|---|---|---|---|---|---|---|---|",
        *map(_line, CANCELLED),
        "",
    ]
    return lines


def _line(row: Row) -> str:
    ends = (row.settled, row.released, row.doubt)
    numbers = [str(one) for one in (row.failed_pages, row.creates, row.jobs, *ends)]
    fault = f"`{row.fault}`" if row.fault else ""
    return f"| {' | '.join([fault, row.what, row.answer or 'its pages', *numbers])} |"
