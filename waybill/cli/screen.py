"""Where a command writes: results to stdout, everything else to stderr, JSON alone where it is asked."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, RenderableType
from rich.text import Text

from waybill.cli.exits import advice
from waybill.cli.plain import plain, visible
from waybill.runtime.errors import ServiceError

_MOST_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Screen:
    """The two consoles of a command. Neither interprets markup, and Rich obeys NO_COLOR."""

    out: Console
    err: Console
    as_json: bool = False
    # As the caller named it; empty for the default, which no command needs to name.
    tenant: str = ""

    @classmethod
    def open(cls, as_json: bool, tenant: str = "") -> Screen:
        """On the process's own stdout and stderr."""
        return cls(plain_console(), plain_console(stderr=True), as_json, tenant)

    @property
    def page_width(self) -> int:
        """Cells that a line of a listing takes at most."""
        return min(self.out.width, _MOST_WIDTH)

    def command(self, words: str) -> str:
        """A command to try next, for the same tenant."""
        tenant = f" --tenant {quoted(self.tenant)}" if self.tenant else ""
        return f"waybill {words}{tenant}"

    def emit(self, shape: Mapping[str, Any]) -> None:
        """Prints one JSON object as one line."""
        # ASCII alone, so that a terminal obeys nothing; json leaves DEL as it is.
        line = json.dumps(shape, ensure_ascii=True).replace("\x7f", "\\u007f")
        print(line, file=self.out.file, flush=True)

    def show(self, *renderables: RenderableType) -> None:
        """Prints a result for people; lines are laid out for the width already."""
        for renderable in renderables:
            self.out.print(renderable, no_wrap=True, overflow="ellipsis", crop=True)

    def tell(self, text: Text) -> None:
        """Prints a line of a result that is not to be cut: wrapped on a terminal, one line elsewhere."""
        self.out.print(text, soft_wrap=not self.out.is_terminal)

    def note(self, text: str, style: str = "") -> None:
        """Says something beside the result: wrapped on a terminal, one line elsewhere."""
        self.err.print(Text(text, style), soft_wrap=not self.err.is_terminal)

    def fail(self, error: ServiceError) -> None:
        """Says what went wrong and what to do next. Further lines of a message are of a log."""
        first, *log = error.message.splitlines() or [""]
        self.note(f"error: {error.reason}: {plain(first)}", "bold red")
        for line in log:
            self.note(f"  {plain(line)}", "dim")
        self.note(f"next:  {advice(error).next_step}")


class _PlainConsole(Console):
    """Tells a reader that has gone by the error that it is; Rich's own would leave the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def plain_console(**kwargs: Any) -> Console:
    """A console that takes text as text."""
    return _PlainConsole(markup=False, emoji=False, highlight=False, **kwargs)


def spread(left: Text | str, right: Text | str, width: int) -> Text:
    """One line of `width` cells: left cut in its middle where it must be, right always whole."""
    left, right = (part if isinstance(part, Text) else Text(part) for part in (left, right))
    line = Text(cut(left.plain, max(1, width - right.cell_len - 2)), left.style)
    gap = " " * max(2, width - line.cell_len - right.cell_len)
    return Text.assemble(line, gap, right) if right.plain else line


def table(header: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> Iterator[Text]:
    """A line for the header and one for each row: the first column has what the others leave of `width`."""
    lines = [header, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{cell:>{wide}}" for cell, wide in zip(line[1:], widths[1:], strict=True))
        yield spread(Text(line[0]), Text("  ".join(cells)), width)


def cut(text: str, width: int) -> str:
    """A name in at most `width` cells: its middle goes, since both ends tell files apart."""
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2
    end = set_cell_size(text[::-1], tail)[::-1]
    return f"{set_cell_size(text, width - 1 - tail)}…{end}"


def quoted(name: str) -> str:
    """A name as a shell takes it; `$'…'`, as bash and zsh have it, where `plain` would change the name."""
    if plain(name) == name:
        return shlex.quote(name)
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    # In `$'…'` \x9b is a byte; \u009b is the character.
    shown = (re.sub(r"^\\x(?=[89a-f])", r"\\u00", visible(one)) for one in escaped)
    return f"$'{''.join(shown)}'"


def counted(number: int, noun: str) -> str:
    """For instance `1 page`, `2,000 pages`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def sized(number: int) -> str:
    """Bytes as people read them: `512 B`, `1.2 kB`, `10.2 MB`, `5.0 GB`."""
    if number < 1_000:
        return f"{number} B"
    for size, unit in ((1e3, "kB"), (1e6, "MB"), (1e9, "GB")):
        if number < 999.95 * size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e12:,.1f} TB"
