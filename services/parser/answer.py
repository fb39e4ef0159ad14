"""What a child says of a document, understood line by line."""

from __future__ import annotations

import json
import signal
from typing import Any

import structlog

from services.parser.pages import Page, Pages
from services.parser.refusals import refusal

_CHILD_REASONS = frozenset(("PDF_IS_PROTECTED", "PDF_IS_BROKEN", "DOCUMENT_TOO_LARGE"))
# PDFium aborts when it gets no memory; the other two are the CPU limit, soft and hard.
_LIMIT_SIGNALS = frozenset((-signal.SIGABRT, -signal.SIGXCPU, -signal.SIGKILL))
log = structlog.get_logger()


class Answer:
    """What a child says. It is not trusted: that may be cut short, or be anything at all."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._count = self._given = 0
        self._refused, self._done, self._garbled = "", False, False

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
        if self._refused in _CHILD_REASONS:
            raise refusal(self._refused, pages=str(self._count))
        if self._done and code == 0 and not self._garbled and self._given in (0, self._count):
            return self._count
        log.warning("parser child failed", exit_code=code)
        raise refusal("DOCUMENT_TOO_LARGE" if code in _LIMIT_SIGNALS else "PARSER_CRASHED")

    def _understand(self, row: dict[str, Any]) -> None:
        if "page" in row:
            self._pages.append(Page(int(row["page"]), str(row["markdown"]), bool(row["truncated"])))
            self._given += 1
        else:
            self._count = int(row.get("pages", self._count))
            self._refused, self._done = str(row.get("refused", "")), bool(row.get("done"))
