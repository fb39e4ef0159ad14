"""The tables of `make eval-read`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from evals.read.results import Group, Outcome, Result
from services.parser.pages import Mark

_COLUMNS = (
    "format",
    "files",
    "read",
    "degraded",
    "refused",
    "crashed",
    "pages",
    "pages/CPU s",
    "peak MB",
    "phrases",
)
_SLOWEST = 5


def by_format(groups: Sequence[Group]) -> list[str]:
    """One row a format, as a Markdown table."""
    rows = [_row(group.format, group.results, group.peak_bytes) for group in groups]
    everything = [result for group in groups for result in group.results]
    rows.append(_row("all", everything, max(group.peak_bytes for group in groups)))
    return _markdown(_COLUMNS, rows)


def notes(results: Sequence[Result]) -> list[str]:
    """What the table has no column for, a line each."""
    languages = Counter(result.language for result in results)
    texts = [result for result in results if result.right_text is not None]
    unknown = [result for result in results if result.reason == "TEXT_UNDECODABLE"]
    titles, found = _sum(results, "outline_titles"), _sum(results, "outline_found")
    return [
        f"languages: {len(languages)} ({_counted(languages.elements())})",
        f"outlines: {found:,} of {titles:,} titles are headings ({_share(found, titles)})",
        f"texts in a known encoding: {sum(bool(one.right_text) for one in texts)} of {len(texts)} right, "
        f"{len(unknown)} refused as undecodable",
        f"chunks: {_sum(results, 'chunks'):,}, not at their place in the page: "
        f"{_sum(results, 'wrong_offsets')}, characters in no chunk: {_sum(results, 'lost_characters'):,}",
        f"refused: {_counted(one.reason for one in results if one.outcome is Outcome.REFUSED)}",
        f"marks, in pages: {_marks(results)}",
    ]


def defects(results: Sequence[Result]) -> list[str]:
    """What ought to be repaired, a line each."""
    lines = [
        f"CRASHED  {one.key}: {one.reason} {one.place}" for one in results if one.outcome is Outcome.CRASHED
    ]
    lines += [
        f"OFFSETS  {one.key}: {one.wrong_offsets} of {one.chunks} chunks"
        for one in results
        if one.wrong_offsets
    ]
    lines += [
        f"LOST     {one.key}: {one.lost_characters} characters" for one in results if one.lost_characters
    ]
    lines += [f"MISSED   {one.key}: {missed}" for one in results for missed in one.missed]
    lines += [f"ENCODING {one.key}" for one in results if one.right_text is False]
    lines += [
        f"OUTLINE  {one.key}: {one.outline_found} of {one.outline_titles}" for one in results if _lacks(one)
    ]
    for mark in (Mark.FAILED, Mark.CUT, Mark.PLAIN):
        lines += [
            f"{mark.upper():8} {one.key}: {one.marks[mark]} pages" for one in results if mark in one.marks
        ]
    slow = sorted(results, key=lambda one: -one.cpu_seconds)[:_SLOWEST]
    return lines + [f"slowest  {one.key}: {one.cpu_seconds:.1f} CPU s, {one.pages:,} pages" for one in slow]


def _row(name: str, results: Sequence[Result], peak_bytes: int) -> tuple[str, ...]:
    outcomes = Counter(result.outcome for result in results)
    pages, seconds = _sum(results, "pages"), sum(result.cpu_seconds for result in results)
    phrases = _sum(results, "phrases")
    return (
        name,
        str(len(results)),
        *(str(outcomes[outcome]) for outcome in Outcome),
        f"{pages:,}",
        f"{pages / seconds:,.0f}" if seconds else "",
        f"{peak_bytes / 1e6:,.0f}",
        f"{_sum(results, 'phrases_found')} of {phrases}" if phrases else "",
    )


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    table = [columns, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(columns))]
    lines = [
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in table
    ]
    rule = "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|"
    return [lines[0], rule, *lines[1:]]


def _lacks(result: Result) -> bool:
    return result.outline_found < 0.9 * result.outline_titles


def _marks(results: Iterable[Result]) -> str:
    marks: Counter[str] = Counter()
    for result in results:
        marks.update(result.marks)
    return _counted(marks.elements())


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(names).most_common()) or "none"


def _sum(results: Iterable[Result], name: str) -> int:
    return sum(getattr(result, name) for result in results)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"
