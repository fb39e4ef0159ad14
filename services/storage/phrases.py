"""What a question quotes, looked for word for word: case, accents and what stands between words are free."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.storage import words

# A straight quote opens where no word ends: behind one it means inches, or closes.
_QUOTED = re.compile(r"(?:(?<![^\s(\[{<])\"|[“”„«»「」『』])([^\"“”„«»「」『』]+)[\"“”„«»「」『』]")
_BETWEEN = r"[\W_]"


# A longer question stands nowhere as it is.
_MOST_RUNS = 12


class Phrases:
    """The phrases of one question.

    Attributes:
        words: All terms in quotes.
        question: All terms of the question, where it may stand somewhere as it is; else none.
    """

    def __init__(self, question: str) -> None:
        question = words.normal(question)
        quoted = [text for text in _QUOTED.findall(question) if words.runs(text)]
        self.words = frozenset(term for text in quoted for term in words.parts(text))
        self._patterns = [_pattern(words.runs(words.flat(text))) for text in quoted]
        runs = words.runs(words.flat(question))
        self._question = _pattern(runs) if 1 < len(runs) <= _MOST_RUNS else None
        self.question = frozenset(words.parts(question)) if self._question else frozenset()

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def are_in(self, *flat: str) -> bool:
        """Whether each of them stands in one of these texts, made flat."""
        return all(any(pattern.search(text) for text in flat) for pattern in self._patterns)

    def question_is_in(self, flat: str) -> bool:
        """Whether the whole question stands in a flat text as it is: a command, a line of code, a title."""
        return bool(self._question and self._question.search(flat))


def _pattern(runs: Sequence[str]) -> re.Pattern[str]:
    """Scripts without spaces have no ends of words, and a line may be broken anywhere."""
    parts = []
    for run in runs:
        if words.is_unspaced(run):
            parts.append(r"\s*".join(map(re.escape, run)))
        else:
            word = re.escape(run).replace("ss", "(?:ss|ß)")
            parts.append(f"{words.NO_LETTER_BEFORE}{word}{words.NO_LETTER_AFTER}")
    return re.compile(f"{_BETWEEN}*".join(parts))
