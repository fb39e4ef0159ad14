"""An embeddings answer, from bytes to a checked matrix; no vector is ever a list of floats."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from services.embedder.backends.openai_errors import not_an_answer
from services.embedder.backends.port import Embedded, Vectors


def parsed(body: bytes) -> dict[str, Any]:
    """An answer's object.

    Raises:
        VendorContract: VENDOR_ANSWER_INVALID, where not even a charge can be read.
    """
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_an_answer("is not JSON") from None
    if not isinstance(answer, dict):
        raise not_an_answer("is not an object")
    return answer


def read_vectors(answer: Mapping[str, Any], texts: int, dimension: int, model: str) -> Embedded:
    """The answer's vectors in the order of the texts, and what is wrong with them."""
    tokens = _tokens(answer.get("usage"))
    vectors, fault = _vectors(answer.get("data"), texts, dimension)
    if answer.get("model") != model:
        fault = "is by another model than was asked"
    return Embedded(vectors, tokens, fault)


def _tokens(usage: Any) -> int | None:
    tokens = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return tokens if type(tokens) is int and tokens > 0 else None


def _vectors(data: Any, texts: int, dimension: int) -> tuple[Vectors, str]:
    vectors = np.zeros((texts, dimension), dtype="<f4")
    if not isinstance(data, list) or len(data) != texts:
        return vectors, f"has not the {texts} vectors that were asked"
    places = [item.get("index") if isinstance(item, dict) else None for item in data]
    if not _is_each_once(places, texts):
        return vectors, "does not number the vectors as the texts were"
    for place, item in zip(places, data, strict=True):
        try:
            raw = binascii.a2b_base64(item["embedding"])
        except (KeyError, TypeError, ValueError):
            return vectors, "has a vector that is not base64"
        if len(raw) != dimension * 4:
            return vectors, f"has a vector that is not of dimension {dimension}"
        vectors[place] = np.frombuffer(raw, dtype="<f4")
    return vectors, ""


def _is_each_once(places: Sequence[Any], texts: int) -> bool:
    return all(type(place) is int for place in places) and sorted(places) == list(range(texts))
