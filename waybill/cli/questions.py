"""The caller's own questions, asked in two spaces: how much of what is expected each of them finds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waybill.orchestrator.v1.space_migration_pb2 import SpaceTrial
from waybill.runtime.errors import InvalidRequest, NotFound
from waybill.storage.v1.chunk_pb2 import Hit

DEPTHS = (1, 5, 10)
DEPTH = 10


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and what its hits should be.

    Attributes:
        text: As `waybill search` takes it.
        documents: Keys of documents.
        phrases: Words that a passage has, whatever their case.
    """

    text: str
    documents: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()

    @property
    def expects(self) -> bool:
        """Whether anything is expected of it."""
        return bool(self.documents or self.phrases)

    def ranks(self, hits: Sequence[Hit]) -> list[int | None]:
        """The rank of each thing that is expected, from 1; None for what no hit has."""
        keys = [{hit.document_key, *(place.document_key for place in hit.also)} for hit in hits]
        texts = [f"{hit.chunk.heading}\n{hit.chunk.lead}\n{hit.chunk.text}".casefold() for hit in hits]
        of_documents = (_first(key in found for found in keys) for key in self.documents)
        of_phrases = (_first(phrase.casefold() in text for text in texts) for phrase in self.phrases)
        return [*of_documents, *of_phrases]


@dataclass
class Score:
    """What one way of searching in one space found.

    Attributes:
        recall: By depth: of each question, the share of what is expected.
        reciprocal: Of each question, 1 / the rank of the first expected thing.
    """

    recall: dict[int, list[float]] = field(default_factory=lambda: {depth: [] for depth in DEPTHS})
    reciprocal: list[float] = field(default_factory=list)

    def add(self, question: Question, hits: Sequence[Hit]) -> None:
        """Counts a question."""
        ranks = question.ranks(hits)
        for depth, shares in self.recall.items():
            shares.append(sum(rank is not None and rank <= depth for rank in ranks) / len(ranks))
        best = min((rank for rank in ranks if rank is not None), default=None)
        self.reciprocal.append(1 / best if best else 0.0)

    def shape(self) -> dict[str, float]:
        """Means over the questions."""
        means = {f"recall_at_{depth}": _mean(shares) for depth, shares in self.recall.items()}
        return {**means, "mrr": _mean(self.reciprocal)}


@dataclass
class SpaceReport:
    """What questions showed of one space.

    Attributes:
        model: Its model.
        dimension: Its dimension.
        hybrid: As `waybill search` finds; of the questions that expect something.
        vectors: The nearest vectors alone.
        indexed: Of each question, the share of the exact nearest ten that the index finds.
    """

    model: str = ""
    dimension: int = 0
    hybrid: Score = field(default_factory=Score)
    vectors: Score = field(default_factory=Score)
    indexed: list[float] = field(default_factory=list)

    def add(self, question: Question, trial: SpaceTrial) -> None:
        """Counts a question."""
        self.model, self.dimension = trial.space.model, trial.space.dimension
        self.indexed.append(overlap(trial.exact, trial.nearest))
        if question.expects:
            self.hybrid.add(question, trial.hybrid)
            self.vectors.add(question, trial.exact)

    def shape(self) -> dict[str, Any]:
        """For --json."""
        return {
            "model": self.model,
            "dimension": self.dimension,
            "hybrid": self.hybrid.shape(),
            "vectors": self.vectors.shape(),
            "index_recall": _mean(self.indexed),
        }


@dataclass
class Comparison:
    """Two spaces, asked the same; `shared`: of each question, the share of the ten best that both find."""

    searched: SpaceReport = field(default_factory=SpaceReport)
    beside: SpaceReport = field(default_factory=SpaceReport)
    shared_vectors: list[float] = field(default_factory=list)
    shared_hybrid: list[float] = field(default_factory=list)

    def add(self, question: Question, searched: SpaceTrial, beside: SpaceTrial) -> None:
        """Counts a question."""
        self.searched.add(question, searched)
        self.beside.add(question, beside)
        self.shared_vectors.append(overlap(searched.exact, beside.exact))
        self.shared_hybrid.append(overlap(searched.hybrid, beside.hybrid))

    @property
    def expecting(self) -> int:
        """Questions of which something is expected."""
        return len(self.searched.hybrid.reciprocal)

    def shape(self) -> dict[str, Any]:
        """For --json."""
        return {
            "questions": len(self.shared_vectors),
            "questions_with_expectations": self.expecting,
            "searched": self.searched.shape(),
            "beside": self.beside.shape(),
            "overlap_of_vectors": _mean(self.shared_vectors),
            "overlap_of_hybrid": _mean(self.shared_hybrid),
        }


def read(path: Path) -> list[Question]:
    """Questions, a line each: plain text, or a JSON object {"question", "documents", "phrases"}.

    Raises:
        NotFound: FILE_NOT_FOUND.
        InvalidRequest: FILE_UNREADABLE; TEXT_INVALID, naming the line.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise NotFound("FILE_NOT_FOUND", f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError):
        raise InvalidRequest("FILE_UNREADABLE", f"{path} cannot be read as UTF-8 text.") from None
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    questions = [_question(path, number, line) for number, line in lines if line]
    if not questions:
        raise InvalidRequest("TEXT_INVALID", f"{path} has no question.")
    return questions


def overlap(first: Sequence[Hit], second: Sequence[Hit]) -> float:
    """The share of the first's passages that the second has, too; 1 where the first has none."""
    wanted, there = ({hit.chunk.sha256 for hit in hits[:DEPTH]} for hits in (first, second))
    return len(wanted & there) / len(wanted) if wanted else 1.0


def _question(path: Path, number: int, line: str) -> Question:
    if not line.startswith("{"):
        return Question(line)
    wrong = InvalidRequest(
        "TEXT_INVALID",
        f"{path}, line {number}: write a question, or a JSON object with question, and documents or phrases"
        " as lists of text.",
    )
    try:
        shape = json.loads(line)
    except ValueError:
        raise wrong from None
    lists = {name: shape.pop(name, []) for name in ("documents", "phrases")}
    text = shape.pop("question", "")
    good = isinstance(text, str) and text.strip() and not shape
    if not good or not all(isinstance(one, list) and all(map(_is_text, one)) for one in lists.values()):
        raise wrong
    return Question(text, tuple(lists["documents"]), tuple(lists["phrases"]))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _first(found: Iterable[bool]) -> int | None:
    return next((rank for rank, true in enumerate(found, 1) if true), None)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def percent(value: float) -> str:
    """For people."""
    return f"{value:.0%}"


def rows(report: Comparison) -> Iterator[tuple[str, str, str]]:
    """Lines of the comparison: what, in the space that is searched, in the one beside it."""
    two = report.searched, report.beside
    if report.expecting:
        for name, ways in (
            ("search", [one.hybrid for one in two]),
            ("vectors", [one.vectors for one in two]),
        ):
            for depth in DEPTHS:
                first, second = (percent(_mean(way.recall[depth])) for way in ways)
                yield f"{name}: recall@{depth}", first, second
            first, second = (f"{_mean(way.reciprocal):.2f}" for way in ways)
            yield f"{name}: MRR", first, second
    first, second = (percent(_mean(one.indexed)) for one in two)
    yield "nearest 10 found", first, second
    yield "nearest 10 in both", percent(_mean(report.shared_vectors)), ""
    yield "best 10 in both", percent(_mean(report.shared_hybrid)), ""
