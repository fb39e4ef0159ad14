"""What the service and its child processes share: what one document may cost us. Nothing but stdlib."""

from __future__ import annotations

from dataclasses import dataclass

READY = b"ready\n"  # what a fork server says when it can take documents


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one document, in and out.

    Attributes:
        source_bytes: Largest file that is opened.
        pages: Most pages a document may have; of a PDF counted before any is read.
        page_text_bytes: Text of one page beyond this is cut, and the page says so.
        output_bytes: Most text of a whole document.
        memory_bytes: Address space of the child.
        cpu_seconds: CPU time of the child, to which what follows is added once it is known.
        cpu_seconds_per_page: For each page of a PDF.
        cpu_seconds_per_megabyte: For each million bytes of anything else.
        cpu_seconds_per_drawing: For drawing a page whose text is to be recognised.
        cpu_seconds_per_scan: For recognising it, on average; that has a process of its own.
        silent_seconds: A child that says nothing and computes nothing for so long is stuck, and killed. Time
            itself is no limit: a busy machine must never make a document fail.
    """

    source_bytes: int = 64_000_000
    pages: int = 3_000
    page_text_bytes: int = 64 * 1024
    output_bytes: int = 64_000_000
    memory_bytes: int = 1 << 30
    cpu_seconds: int = 10
    cpu_seconds_per_page: float = 0.02
    cpu_seconds_per_megabyte: float = 2.0
    cpu_seconds_per_drawing: int = 2
    cpu_seconds_per_scan: float = 8.0
    silent_seconds: float = 60.0

    def cpu_seconds_for(self, pages: int = 0, size: int = 0) -> int:
        """CPU time allowed to a document of so many pages, or of so many bytes."""
        more = self.cpu_seconds_per_page * pages + self.cpu_seconds_per_megabyte * size / 1e6
        return self.cpu_seconds + int(more)

    @property
    def most_cpu_seconds(self) -> int:
        """CPU time allowed to the largest document."""
        return max(self.cpu_seconds_for(pages=self.pages), self.cpu_seconds_for(size=self.source_bytes))

    @property
    def most_drawing_cpu_seconds(self) -> int:
        """CPU time that is added for a document of scans alone."""
        return self.cpu_seconds_per_drawing * self.pages

    @property
    def line_bytes(self) -> int:
        """Most that a page may take in JSON, where a character becomes six, and its blocks as much again."""
        return 64 * self.page_text_bytes


DEFAULT_LIMITS = Limits()
