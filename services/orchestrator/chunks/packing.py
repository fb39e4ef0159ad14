"""Pages in, chunks out: as many at a time as a message holds, and ranges of them to embed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from services.orchestrator.chunks.cutting import DEFAULT_SIZES, ChunkSizes, Cutter, Page, Passage
from waybill.limits import CALL_TEXTS, REQUEST_TOKENS
from waybill.runtime.errors import InvalidRequest
from waybill.storage.v1.chunk_pb2 import Chunk

# Under the message limit of 2 MiB, with room for ids.
MESSAGE_BYTES = 1024 * 1024


class Packer:
    """Cuts a document into chunks. The same pages give the same chunks, however they come.

    Attributes:
        chunks: Those so far.
        batches: (first ordinal, end exclusive) of each embedding request; whole once all chunks are cut.
    """

    def __init__(self, sizes: ChunkSizes = DEFAULT_SIZES) -> None:
        self.chunks = 0
        self.batches: list[tuple[int, int]] = []
        self._cutter = Cutter(sizes)
        self._message: list[Chunk] = []
        self._size = 0
        self._batch_start = self._batch_tokens = self._batch_bytes = 0

    def add(self, pages: Iterable[Page]) -> list[list[Chunk]]:
        """Cuts the next pages; answers the messages that are full. Blocks for as long as it counts tokens."""
        passages = (passage for page in pages for passage in self._cutter.cut(page))
        return [full for passage in passages for full in self._take(passage)]

    def rest(self) -> list[list[Chunk]]:
        """The last messages, which no more pages follow."""
        full = [full for passage in self._cutter.rest() for full in self._take(passage)]
        if not self.chunks:
            return []
        self.batches.append((self._batch_start, self.chunks))
        return [*full, self._message]

    def _take(self, passage: Passage) -> Iterator[list[Chunk]]:
        chunk = _chunk(self.chunks, passage)
        size = chunk.ByteSize()
        self._batch(passage.token_count, size)
        if self._size and self._size + size > MESSAGE_BYTES:
            yield self._message
            self._message, self._size = [], 0
        self._message.append(chunk)
        self._size += size
        self.chunks += 1

    def _batch(self, tokens: int, size: int) -> None:
        """Counts the next chunk into the batch at hand, or begins another."""
        here = self.chunks - self._batch_start
        over = self._batch_tokens + tokens > REQUEST_TOKENS or self._batch_bytes + size > MESSAGE_BYTES
        if here and (over or here == CALL_TEXTS):
            self.batches.append((self._batch_start, self.chunks))
            self._batch_start, self._batch_tokens, self._batch_bytes = self.chunks, 0, 0
        self._batch_tokens += tokens
        self._batch_bytes += size


def _chunk(ordinal: int, passage: Passage) -> Chunk:
    return Chunk(
        ordinal=ordinal,
        text=passage.text,
        heading=passage.heading,
        lead=passage.lead,
        page=passage.page,
        start_char=passage.start,
        end_char=passage.end,
        sha256=passage.sha256,
        token_count=passage.token_count,
    )


def nothing_to_cut() -> InvalidRequest:
    """Why a document without a chunk is none."""
    return InvalidRequest("DOCUMENT_EMPTY", "The document has no text to cut into chunks. Look at the file.")
