"""Local embedding models on real texts: CPU and memory. Prints; asserts nothing.

python -m bench.embedding [MODEL ...]

A MODEL is what EMBEDDER_LOCAL_MODEL takes, `words` for none; by default words and sentences. The texts are
of the evals' corpus, which is fetched once, cut to the size of a chunk.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from evals import corpus
from services.embedder.backends.local import LocalEmbedder
from waybill import tokens

WORDS, SENTENCES = "words", "sentences"
CHUNK_CHARS, QUESTION_CHARS, CHUNKS, QUESTIONS = 1600, 60, 200, 100
PROSE = {"text", "markdown", "html", "rst"}


@dataclass(frozen=True)
class Row:
    """One model's figures; times are of the CPU, memory is the process's peak."""

    space: str
    load_seconds: float
    chunks_per_second: float
    question_ms: float
    peak_mb: float


def main(models: Sequence[str]) -> None:
    """Measures each model in a process of its own."""
    chunks = list(_chunks())
    mean = sum(tokens.count(chunks)) / len(chunks)
    print(f"{len(chunks)} chunks of {mean:.0f} tokens on average, {QUESTIONS} questions one by one")
    print(f"{'space':<62} {'load s':>7} {'chunks/CPU s':>13} {'ms/question':>12} {'peak MB':>8}")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as fresh:
        for row in fresh.map(_measured, models, [chunks] * len(models)):
            print(
                f"{row.space:<62} {row.load_seconds:>7.2f} {row.chunks_per_second:>13.0f}"
                f" {row.question_ms:>12.2f} {row.peak_mb:>8.0f}"
            )


def _chunks() -> Iterator[str]:
    """Parts of every prose document in turn, so that each language and package has its share."""
    documents = [one for package in corpus.packages() for one in package.documents()]
    texts = [one.path.read_text(errors="replace") for one in documents if one.take.format in PROSE]
    parts = [
        text[start : start + CHUNK_CHARS]
        for start in range(0, 20 * CHUNK_CHARS, CHUNK_CHARS)
        for text in texts
    ]
    whole = [part for part in parts if len(part.strip()) > CHUNK_CHARS // 2]
    return iter(whole[:: max(1, len(whole) // CHUNKS)][:CHUNKS])


def _measured(model: str, chunks: Sequence[str]) -> Row:
    tokens.count(["warm"])
    begun = time.process_time()
    embedder = LocalEmbedder("" if model == WORDS else model)
    loaded = time.process_time()
    asyncio.run(_embed(embedder, [chunks]))
    embedded = time.process_time()
    asyncio.run(_embed(embedder, [[chunk.strip()[:QUESTION_CHARS]] for chunk in chunks[:QUESTIONS]]))
    asked = time.process_time()
    return Row(
        f"{embedder.space.model} ({embedder.space.dimension}) {embedder.space.revision}",
        loaded - begun,
        len(chunks) / (embedded - loaded),
        (asked - embedded) / QUESTIONS * 1000,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


async def _embed(embedder: LocalEmbedder, requests: Sequence[Sequence[str]]) -> None:
    for texts in requests:
        await embedder.embed(texts, "bench")


if __name__ == "__main__":
    main(sys.argv[1:] or [WORDS, SENTENCES])
