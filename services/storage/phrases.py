"""What a question quotes, looked for word for word: case, accents and what stands between words are free."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.storage import words

_QUOTED = re.compile(r"[\"“”„«»「」『』]([^\"“”„«»「」『』]+)[\"“”„«»「」『』]")
_BETWEEN = r"[\W_]"


class Phrases:
    """The phrases of one question.

    Attributes:
        words: All terms in quotes.
    """

    def __init__(self, question: str) -> None:
        quoted = [text for text in _QUOTED.findall(question) if words.runs(text)]
        self.words = frozenset(term for text in quoted for term in words.terms(text))
        self._patterns = [_pattern(words.runs(words.folded(text))) for text in quoted]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def are_in(self, *texts: str) -> bool:
        """Whether each of them stands in one of the texts."""
        folded = [words.folded(text) for text in texts if text]
        return all(any(pattern.search(text) for text in folded) for pattern in self._patterns)


def _pattern(runs: Sequence[str]) -> re.Pattern[str]:
    """Scripts without spaces have no ends of words, and a line may be broken anywhere."""
    parts = []
    for run in runs:
        if words.is_unspaced(run):
            parts.append(r"\s*".join(map(re.escape, run)))
        else:
            parts.append(rf"\b{re.escape(run)}\b")
    return re.compile(f"{_BETWEEN}*".join(parts))
