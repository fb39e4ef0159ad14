"""Which tokenizer counts for which model, and the counting itself.

toktok-rs counts exactly as tiktoken does, with the vocabularies compiled in; pinned, and held by a
golden test.
"""

from __future__ import annotations

from collections.abc import Sequence

import toktok

CL100K = "cl100k_base"
# Every OpenAI embedding model counts in cl100k (OpenAI, "How to count tokens").
_ENCODINGS = {
    "text-embedding-3-small": CL100K,
    "text-embedding-3-large": CL100K,
    "text-embedding-ada-002": CL100K,
}


def count(texts: Sequence[str], model: str | None = None) -> list[int]:
    """Tokens of each text, as the model counts them; cl100k for a model with no tokenizer of its own.

    Releases the GIL, so a thread can run it beside an event loop.
    """
    if not texts:
        return []
    counts: list[int] = toktok.batch_count(texts, _ENCODINGS.get(model or "", CL100K), threads=1)
    return counts
