"""Static word vectors: wordllama's l2_supercat weights (MIT) under a short runtime of ours.

A text's vector is the mean of its tokens' vectors, at length 1. wordllama's own load() looks in a
wrong folder and downloads what it does not find, so only its files are used; it is never imported.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from services.embedder.backends.port import Capabilities, Embedded, Vectors
from waybill import tokens
from waybill.common.v1.cost_pb2 import CostKind
from waybill.common.v1.space_pb2 import Space
from waybill.runtime import faults
from waybill.runtime.errors import Precondition

DIMENSION = 256
MODEL = "wordllama-l2-supercat"
REVISION = "0.4.0"


class LocalEmbedder:
    """Embeds on this machine, priced as OpenAI's small model would be."""

    space = Space(model=MODEL, dimension=DIMENSION, revision=REVISION)
    capabilities = Capabilities(
        max_texts=2048,
        max_text_tokens=8191,
        target_request_tokens=32_000,
        vendor="openai",
        price_model="text-embedding-3-small",
        kind=CostKind.COST_KIND_SIMULATED,
    )

    def __init__(self) -> None:
        folder = _package_folder("wordllama")
        self._weights = _read_safetensors(folder / "weights" / "l2_supercat_256.safetensors")
        self._tokenizer = Tokenizer.from_file(
            str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json")
        )
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    async def embed(self, texts: Sequence[str], attempt_id: str) -> Embedded:
        """See the port."""
        with faults.noting_cancel("embed"):
            await faults.point("embed.under_way")
            answer = await asyncio.to_thread(self._embed, texts)
        faults.note("embed", tokens=answer.tokens or 0)
        await faults.point("embed.done")
        return answer

    async def healthy(self) -> bool:
        """It is loaded, so it works."""
        return True

    def _embed(self, texts: Sequence[str]) -> Embedded:
        vectors = np.empty((len(texts), DIMENSION), dtype=np.float32)
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for place, encoding in enumerate(encodings):
            mean = self._weights[encoding.ids].astype(np.float32).mean(axis=0)
            vectors[place] = mean / np.linalg.norm(mean)
        return Embedded(vectors, sum(tokens.count(texts, self.capabilities.price_model)))


def _package_folder(name: str) -> Path:
    """A package's folder, found without importing the package."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Precondition("WEIGHTS_MISSING", f"The package {name} is missing. Run `make demo` or reinstall.")
    return Path(spec.submodule_search_locations[0])


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
