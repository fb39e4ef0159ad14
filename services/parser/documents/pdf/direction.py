"""Words as they are read: along the way that most of a page's text runs, the first word first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from services.parser.documents.pdf.letters import RIGHT_TO_LEFT
from services.parser.documents.pdf.lines import Line, Word

_JUMP = 0.7  # em between baselines that are not one line's
_APART = 1.0  # em between words that do not belong to one run of letters


def main_turn(lines: Iterable[Sequence[Word]]) -> int:
    """Degrees that most of a page's characters run in."""
    chars: Counter[int] = Counter()
    for line in lines:
        for word in line:
            chars[word.turn] += len(word.text)
    return max(chars, key=lambda turn: (chars[turn], -turn), default=0)


class Frame(NamedTuple):
    """How a page is read.

    Attributes:
        turn: Degrees against the clock that most of its text runs in.
        right: Points to add along that direction, to count from the page's left edge.
        up: The same across it, to count from the lower edge.
    """

    turn: int = 0
    right: float = 0.0
    up: float = 0.0

    @classmethod
    def of(cls, turn: int, width: float, height: float) -> Frame:
        """Of a page that is so wide and high when it is seen upright."""
        return cls(turn, width * (turn in (180, 270)), height * (turn in (90, 180)))

    def word(self, word: Word) -> Word:
        """A word of the main direction, as it is read."""
        left, right, baseline = word.left + self.right, word.right + self.right, word.baseline + self.up
        return word._replace(left=left, right=right, baseline=baseline, turn=0)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A point of the page's own coordinates, as it is read; for slanted text nothing turns."""
        across, upward = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}.get(self.turn, (1, 0))
        return x * across + y * upward + self.right, y * across - x * upward + self.up


def upright(lines: Iterable[Sequence[Word]], frame: Frame) -> list[Line]:
    """Lines of the main direction in their order, then lines of the words that run another way."""
    body: list[Line] = []
    asides: list[Word] = []
    for line in lines:
        asides += [
            word._replace(turn=(word.turn - frame.turn) % 360) for word in line if word.turn != frame.turn
        ]
        body += _steady(frame.word(word) for word in line if word.turn == frame.turn)
    return body + _aside_lines(asides)


def _steady(words: Iterable[Word]) -> Iterator[Line]:
    """A line cut where its baseline jumps: beside text that crosses it PDFium takes several for one."""
    steady: list[Word] = []
    for word in words:
        if steady and abs(word.baseline - steady[-1].baseline) > _JUMP * max(word.size, steady[-1].size):
            yield Line(steady)
            steady = []
        steady.append(word)
    if steady:
        yield Line(steady)


def _aside_lines(words: Iterable[Word]) -> list[Line]:
    """PDFium mixes them with the lines that they cross, so their lines are found by their own baselines."""
    ordered = sorted(words, key=lambda word: (word.turn, -round(word.baseline), word.left))
    return [Line([*group]) for _, group in groupby(ordered, lambda word: (word.turn, round(word.baseline)))]


def logical(lines: Sequence[Line]) -> list[Line]:
    """Lines of a page that has letters read from right to left: words in the order that they are read in.

    Places become those of a page read from left to right: where most words run leftwards the page is
    mirrored, elsewhere each run of such words within itself.
    """
    mirrored = _reads_leftwards(lines)
    if not mirrored:
        return [_with_runs(line.words, mirrored=False) if _has_leftward(line) else line for line in lines]
    words = [word for line in lines for word in line.words]
    edge = min(word.left for word in words) + max(word.right for word in words)
    return [_with_runs([_mirrored(word, edge) for word in line.words], mirrored=True) for line in lines]


def _mirrored(word: Word, edge: float) -> Word:
    return word._replace(left=edge - word.right, right=edge - word.left)


def _reads_leftwards(lines: Sequence[Line]) -> bool:
    """A line says so by the word at its end: Hebrew at the right and anything else at the left."""
    balance = 0
    for line in lines:
        ordered = sorted(line.words, key=lambda word: word.left)
        balance += _is_leftward(ordered[-1]) - _is_leftward(ordered[0])
    words = [word for line in lines for word in line.words]
    return (balance or sum(map(_is_leftward, words)) - sum(map(_is_rightward, words))) > 0


def _with_runs(words: Iterable[Word], *, mirrored: bool) -> Line:
    """The line in the order of its places, with those words turned round that run against it."""
    ordered = sorted(words, key=lambda word: word.left)
    against = _is_rightward if mirrored else _is_leftward
    at = 0
    while at < len(ordered):
        end = _run_end(ordered, at, mirrored=mirrored)
        if any(map(against, ordered[at:end])):
            ordered[at:end] = _turned(ordered[at:end])
        at = end
    return Line(ordered)


def _run_end(words: Sequence[Word], start: int, *, mirrored: bool) -> int:
    """Where the run ends that begins at a word: its neighbours of the same way, and what belongs to them."""
    along, against = (_is_leftward, _is_rightward) if mirrored else (_is_rightward, _is_leftward)
    end = sure = start + 1
    # A number beside Latin words is one of theirs; beside Hebrew in a Latin line it may be either's.
    if along(words[start]) or not (mirrored or against(words[start])):
        return end
    while end < len(words) and not along(words[end]) and not _apart(words[end - 1], words[end]):
        end += 1
        if against(words[end - 1]) or (mirrored and _is_number(words[end - 1])):
            sure = end
    return sure


def _turned(words: Sequence[Word]) -> list[Word]:
    """The same stretch of the line, read from its other end."""
    whole = words[0].left + max(word.right for word in words)
    return [_mirrored(word, whole) for word in reversed(words)]


def _apart(before: Word, word: Word) -> bool:
    return word.left - before.right > _APART * max(before.size, word.size)


def _is_leftward(word: Word) -> bool:
    return RIGHT_TO_LEFT.search(word.text) is not None


def _is_rightward(word: Word) -> bool:
    return any(map(str.isalpha, word.text)) and not _is_leftward(word)


def _is_number(word: Word) -> bool:
    return any(map(str.isdigit, word.text))


def _has_leftward(line: Line) -> bool:
    return any(map(_is_leftward, line.words))
