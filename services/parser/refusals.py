"""Why a document is not parsed: every reason, its error type, and what the reader can do about it.

All of them say that nothing was bought, so a hold on the parse is released.
"""

from __future__ import annotations

from collections.abc import Mapping

from waybill.runtime.errors import InvalidRequest, Precondition, Quota, ServiceError

# Those that a child may give; the others are the service's own.
CHILD_REASONS = frozenset(
    (
        "PDF_IS_PROTECTED", "PDF_IS_BROKEN", "FILE_IS_PROTECTED", "FILE_IS_BROKEN", "DOCUMENT_EMPTY",
        "DOCUMENT_TOO_LARGE", "FILE_TYPE_UNSUPPORTED", "TEXT_UNDECODABLE",
    )
)  # fmt: skip
_REFUSALS: Mapping[str, tuple[type[ServiceError], str]] = {
    "PDF_IS_PROTECTED": (
        InvalidRequest,
        "The PDF needs a password. Save a copy without protection and ingest that.",
    ),
    "PDF_IS_BROKEN": (
        InvalidRequest,
        "The PDF cannot be opened; it may be cut short. Open it in a viewer, save it anew and ingest that.",
    ),
    "FILE_IS_PROTECTED": (
        InvalidRequest,
        "The file needs a password. Save a copy without protection and ingest that.",
    ),
    "FILE_IS_BROKEN": (
        InvalidRequest,
        "The file cannot be opened; it may be cut short. Save it anew from its program and ingest that.",
    ),
    "DOCUMENT_EMPTY": (
        InvalidRequest,
        "The document has no text that can be read. If it is a scan, or a PDF whose fonts do not say which "
        "letters they show, install text recognition on the parser's machine (the package tesseract-ocr, and "
        "one for each language), restart the parser, and ingest it again.",
    ),
    "DOCUMENT_TOO_LARGE": (
        Quota,
        "The document is over a limit (64 MB, 3,000 pages, memory or computing time of its parse). "
        "Split it into smaller files.",
    ),
    "PARSE_TIMEOUT": (
        Quota,
        "The parse stood still for a minute and was ended. Repeat it; if that happens again, split the file.",
    ),
    "PARSER_CRASHED": (
        InvalidRequest,
        "The parser failed on the document: a bug of Waybill, not of the file. Please send the file, or the "
        "parser's log line, to Waybill's maintainers. Other documents are not affected.",
    ),
    "VENDOR_STUCK": (
        Precondition,
        "The vendor did not end the parse in time, so it was cancelled there. Ingest the document again.",
    ),
    "POISON": (
        InvalidRequest,
        "The parser died three times over the document. Save it anew from another program and ingest that.",
    ),
    "FILE_TYPE_UNSUPPORTED": (
        InvalidRequest,
        "The content is of no type that is read. `waybill types` lists those; convert the file first.",
    ),
    "TEXT_UNDECODABLE": (
        InvalidRequest,
        "The text's character encoding cannot be told. Save it as UTF-8 and ingest it again.",
    ),
    "CHECKSUM_MISMATCH": (
        InvalidRequest,
        "The stored bytes do not have the SHA-256 that was named. Store the file again and ingest that.",
    ),
}


def refusal(reason: str, detail: str = "", **metadata: str) -> ServiceError:
    """The error for a reason of the table; a detail stands in front of its advice."""
    kind, advice = _REFUSALS[reason]
    return kind(reason, f"{detail} {advice}".strip(), metadata)
