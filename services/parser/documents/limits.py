"""What the service and its child processes share: what one document may cost us. Nothing but stdlib."""

from __future__ import annotations

from dataclasses import dataclass

READY = b"ready\n"  # what a fork server says when it can take documents


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one document, in and out.

    Attributes:
        source_bytes: Largest file that is opened.
        pages: Most pages a document may have; counted before any is read.
        page_text_bytes: Text of one page beyond this is cut, and the page says so.
        output_bytes: Most text of a whole document.
        memory_bytes: Address space of the child.
        cpu_seconds: CPU time of the child, to which `cpu_seconds_per_page` is added once pages are counted.
        wall_seconds_per_cpu_second: A machine under load gets this much longer before the child is killed.
    """

    source_bytes: int = 64_000_000
    pages: int = 3_000
    page_text_bytes: int = 64 * 1024
    output_bytes: int = 64_000_000
    memory_bytes: int = 1 << 30
    cpu_seconds: int = 10
    cpu_seconds_per_page: float = 0.02
    wall_seconds_per_cpu_second: float = 3.0

    def cpu_seconds_for(self, pages: int) -> int:
        """CPU time allowed to a document of so many pages."""
        return self.cpu_seconds + int(self.cpu_seconds_per_page * pages)

    @property
    def line_bytes(self) -> int:
        """Most that one page may take in JSON, where a character becomes six, and its blocks as much again."""
        return 64 * self.page_text_bytes

    @property
    def wall_seconds(self) -> float:
        """When the child is killed, whatever it is waiting for."""
        return self.cpu_seconds_for(self.pages) * self.wall_seconds_per_cpu_second


DEFAULT_LIMITS = Limits()
