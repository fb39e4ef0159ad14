"""Questions, and which passages answer them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LIST = Path(__file__).with_name("questions.jsonl")


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its answer.

    Attributes:
        kind: natural, keyword, code, paraphrase, cross (asked in another language), table, or none.
        language: That it is asked in.
        question: As a person would ask.
        document: The key of the document that answers; empty where none does.
        answer: Words of the passage that answers.
        kept_back: Not looked at while weights and floors were chosen.
    """

    kind: str
    language: str
    question: str
    document: str = ""
    answer: str = ""
    kept_back: bool = False

    def rank(self, hits: Sequence[tuple[str, str]]) -> int | None:
        """The place of the first right one among hits, each a document's key and a text; from 1."""
        answer = _bare(self.answer)
        places = (
            place
            for place, (document, text) in enumerate(hits, 1)
            if document == self.document and answer in _bare(text)
        )
        return next(places, None)


def questions() -> list[Question]:
    """All of them."""
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    return [Question(**json.loads(line)) for line in lines if line]


def _bare(text: str) -> str:
    """Without white space: lines are broken anywhere, in some scripts within words."""
    return re.sub(r"\s+", "", text)
