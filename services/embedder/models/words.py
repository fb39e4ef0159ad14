"""Static word vectors: wordllama's l2_supercat weights (MIT) under a short runtime of ours.

A text's vector is the mean of its tokens' vectors, at length 1. wordllama's own load() looks in a
wrong folder and downloads what it does not find, so only its files are used; it is never imported.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from services.embedder.backends.port import Vectors
from services.embedder.models import packages
from services.embedder.models.averages import unit
from waybill.common.v1.space_pb2 import Space

DIMENSION = 256


class WordVectors:
    """See the port."""

    name = "word vectors"
    space = Space(model="wordllama-l2-supercat", dimension=DIMENSION, revision="0.4.0")

    def __init__(self) -> None:
        folder = packages.folder("wordllama")
        self._weights = _read_safetensors(folder / "weights" / "l2_supercat_256.safetensors")
        self._tokenizer = Tokenizer.from_file(
            str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json")
        )
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """See the port."""
        means = np.empty((len(texts), DIMENSION), dtype=np.float32)
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for place, encoding in enumerate(encodings):
            means[place] = self._weights[encoding.ids].astype(np.float32).mean(axis=0)
        return unit(means)


def _read_safetensors(path: Path) -> Vectors:
    """The only matrix of a safetensors file: 8 bytes of header length, a JSON header, then the data."""
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        (tensor,) = (
            value for key, value in json.loads(file.read(header_bytes)).items() if key != "__metadata__"
        )
    offset = 8 + header_bytes + tensor["data_offsets"][0]
    # Read-only and mapped: processes share the pages, and start-up reads none.
    return np.memmap(path, dtype="<f2", mode="r", offset=offset, shape=tuple(tensor["shape"]))
