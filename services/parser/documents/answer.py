"""What a child says of a document, understood line by line."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import structlog

from services.parser.pages import Page, Pages
from services.parser.refusals import CHILD_REASONS, refusal

CRASHED = "PARSER_CRASHED"
# PDFium and office-oxide abort when they get no memory; the other two are the CPU limit, soft and hard.
_LIMIT_SIGNALS = frozenset((-signal.SIGABRT, -signal.SIGXCPU, -signal.SIGKILL))
# The words for formats, encodings, places in our code and numbers; never a sentence of the document's.
_WORD = re.compile(r"[A-Za-z0-9_.:+ -]{0,80}")
_MOST_NAMES, _MOST_NAME_CHARS = 100, 200
log = structlog.get_logger()


class Answer:
    """What a child says. It is not trusted: that may be cut short, or be anything at all."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._count = self._given = 0
        self._refused, self._metadata = "", dict[str, str]()
        self._crashed, self._done, self._garbled = "", False, False

    def take(self, lines: list[bytes]) -> None:
        """Understands more lines; nothing behind one that makes no sense. Blocks."""
        try:
            for line in lines:
                if not self._garbled:
                    self._understand(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            self._garbled = True

    def page_count_or_refusal(self, code: int) -> int:
        """How many pages there are, once the child has ended with this exit code."""
        if self._refused in CHILD_REASONS:
            found = self._metadata.get("found")
            raise refusal(self._refused, f"The content is {found}." if found else "", **self._metadata)
        if code == 0 and not self._garbled:
            if self._done and (not self._count or self._given == self._count):
                return self._given
            if self._count and not self._given and not self._crashed:
                return self._count
        log.warning("parser child failed", exit_code=code, place=self._crashed or None)
        raise refusal("DOCUMENT_TOO_LARGE" if code in _LIMIT_SIGNALS else CRASHED)

    def _understand(self, row: dict[str, Any]) -> None:
        if "page" in row:
            self._pages.append(Page.of_row(row))
            self._given += 1
        elif "pages" in row:
            self._count = int(row["pages"])
        elif "refused" in row:
            self._refused = str(row["refused"])
            self._metadata = {_word(name): _word(value) for name, value in row["metadata"].items()}
        elif "crashed" in row:
            self._crashed = _word(row["crashed"])
        else:
            names = tuple(str(name)[:_MOST_NAME_CHARS] for name in row["left_out"][:_MOST_NAMES])
            self._pages.finish(_word(row["done"]), _word(row["encoding"]), names)
            for place in row["failures"]:
                log.warning("page structure failed", place=_word(place))
            self._done = True


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError("not a word of ours")
    return text
