"""Text that came apart from its page → among the page's lines, where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.parser.documents.pdf.annotations import Box, Value
from services.parser.documents.pdf.letters import cleaned
from services.parser.documents.pdf.lines import Line, Word

_USUAL_SIZE, _LARGEST_SIZE = 10.0, 12.0
_LETTER = 0.5  # em, as wide as letters are on average
_PITCH = 1.2  # em between lines
_SINK = 0.35  # em of the letters below the middle of a line
_SAME_LINE = 0.6  # em that a value may stand above or below its label


def lines_of(value: Value, box: Box) -> list[Line]:
    """The value's lines, its letters as wide as the box has room for.

    Args:
        value: Its own box is not looked at.
        box: Where it stands as the page is read.
    """
    height = max(box.top - box.bottom, 1.0)
    texts = [words for line in value.text.splitlines() if (words := cleaned(line.replace("\t", " ")).split())]
    size = value.size or min(_LARGEST_SIZE, height / max(len(texts), 1) / _PITCH)
    first = box.top - size if value.many_lines else (box.top + box.bottom) / 2 - _SINK * size
    return [_line(words, box, first - number * _PITCH * size, size) for number, words in enumerate(texts)]


def comment_lines(comments: Iterable[str], below: Sequence[Line]) -> list[Line]:
    """Comments as lines below a page's last one."""
    left = min((line.left for line in below), default=0.0)
    baseline = min((line.baseline for line in below), default=0.0)
    size = below[-1].size if below else _USUAL_SIZE
    lines: list[Line] = []
    for comment in comments:
        baseline -= 2 * _PITCH * size
        box = Box(left, baseline, left + 1000 * size, baseline + size)
        new = lines_of(Value(comment, box, size, many_lines=True), box)
        baseline -= _PITCH * size * len(new)
        lines += new
    return lines


def placed(lines: Sequence[Line], added: Iterable[Line]) -> list[Line]:
    """Each added line beside what it stands beside, or below what it stands below."""
    page = list(lines)
    for line in sorted(added, key=lambda line: (-line.baseline, line.left)):
        host = _beside(page, line)
        if host is None:
            page.insert(_below(page, line), line)
        else:
            page[host] = _joined(page[host], line)
    return page


def _line(texts: Sequence[str], box: Box, baseline: float, size: float) -> Line:
    room = max(box.right - box.left, 1.0)
    letters = sum(map(len, texts)) + len(texts) - 1
    width = min(_LETTER * size, room / letters)
    words, left = [], box.left
    for text in texts:
        words.append(Word(text, left, left + width * len(text), baseline, size))
        left += width * (len(text) + 1)
    return Line(words)


def _beside(page: Sequence[Line], line: Line) -> int | None:
    """The nearest line of the same height that leaves room for it."""
    nearest, best = None, float("inf")
    for index, other in enumerate(page):
        near = abs(other.baseline - line.baseline) <= _SAME_LINE * max(other.size, line.size)
        if near and not other.words[0].turn and not _overlap(other, line):
            apart = min(min(abs(word.right - line.left), abs(word.left - line.right)) for word in other.words)
            if apart < best:
                nearest, best = index, apart
    return nearest


def _below(page: Sequence[Line], line: Line) -> int:
    """The place behind the lowest line above it, one that it stands under if there is such."""
    above = [
        (not (other.left < line.right and line.left < other.right), other.baseline, -index)
        for index, other in enumerate(page)
        if other.baseline > line.baseline and not other.words[0].turn
    ]
    return 1 - min(above)[2] if above else 0


def _overlap(one: Line, other: Line) -> bool:
    return any(a.left < b.right and b.left < a.right for a in one.words for b in other.words)


def _joined(host: Line, line: Line) -> Line:
    first = line.words[0]
    at = next((index for index, word in enumerate(host.words) if word.left > first.left), len(host.words))
    near = host.words[max(at - 1, 0)]
    added = [word._replace(size=near.size, baseline=near.baseline, mcid=near.mcid) for word in line.words]
    return Line([*host.words[:at], *added, *host.words[at:]])
