"""What each step answers: JSON values, which a run's later steps get, also after a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.orchestrator.batch import tiers


@dataclass(frozen=True)
class Parsed:
    """Where the pages are, and what of the document they lack: a sentence, empty where they lack nothing.

    Attributes:
        locally: A sentence, where the vendor's engine was to read it and did not.
    """

    result_key: str
    pages: int
    missing: str = ""
    locally: str = ""


@dataclass(frozen=True)
class Cut:
    """The version that was begun, and which of its chunks go into which embedding request.

    Attributes:
        batches: (first ordinal, end exclusive) of each request.
        tier: How they are to be embedded.
        edition: When the content came, among others of the document.
        unchanged: Another run had published the same; the version is that one's.
        published: Nothing is left to do: it was one request, embedded and published as soon as it was cut.
        lacking: What it was published without, in sentences; empty where that is nothing.
        space: That the version's vectors are in, by the fields of a Space; none where an older release cut.
    """

    version_id: str
    document_id: str
    chunks: int
    batches: Sequence[tuple[int, int]]
    tier: str = tiers.SYNCHRONOUS
    edition: int = 0
    unchanged: bool = False
    published: bool = False
    lacking: str = ""
    space: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Batched:
    """How many chunks a vendor's batches gave vectors to; and why the others get none now, in a sentence."""

    vectors: int
    without: str = ""


@dataclass(frozen=True)
class Embedded:
    """What an embedding came to: so many chunks, or why there are no vectors, in a sentence."""

    chunks: int
    without: str = ""


@dataclass(frozen=True)
class Published:
    """The document's id, and what its version lacks, in sentences; empty where nothing."""

    document_id: str
    lacking: str = ""
