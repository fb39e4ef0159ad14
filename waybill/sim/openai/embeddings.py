"""POST /v1/embeddings: what is asked, what it counts, and the vectors.

A vector depends on the model and the text alone; fewer dimensions are the first ones of it at length 1, as
OpenAI's are. A list of tokens has a vector of its own, not that of the text it stands for.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from waybill import tokens
from waybill.sim.openai import settings
from waybill.sim.openai.errors import Refused, input_too_long, no_such_model, request_too_long

Vector = npt.NDArray[np.float32] | npt.NDArray[np.float64]
_FIELDS = {"model", "input", "dimensions", "encoding_format", "user"}
_VOCABULARY = 100_277


@dataclass(frozen=True)
class Query:
    """A valid request, not yet counted."""

    model: settings.Model
    inputs: Sequence[str] | Sequence[Sequence[int]]
    dimensions: int
    base64: bool

    @property
    def call(self) -> str:
        """The logical call: see `logical_call`."""
        return logical_call(self.inputs)

    def count(self) -> list[int]:
        """Tokens of each input, by the true tokenizer."""
        texts = [text for text in self.inputs if isinstance(text, str)]
        return tokens.count(texts, self.model.name) if texts else [len(ids) for ids in self.inputs]

    def check(self, counts: Sequence[int]) -> None:
        """Raises Refused where an input or all together are too long."""
        if max(counts) > settings.MOST_INPUT_TOKENS:
            raise input_too_long(max(counts))
        if sum(counts) > settings.MOST_REQUEST_TOKENS:
            raise request_too_long(sum(counts))


def logical_call(inputs: Sequence[str] | Sequence[Sequence[int]]) -> str:
    """sha256 of a request's inputs, by which faults and the journal know its attempts."""
    return hashlib.sha256(json.dumps(list(inputs)).encode()).hexdigest()


def parse(body: Any) -> Query:
    """Reads a request's JSON.

    Raises:
        Refused: As OpenAI would.
    """
    if not isinstance(body, dict):
        raise Refused(400, "We could not parse the JSON body of your request.")
    if unknown := sorted(set(body) - _FIELDS):
        raise Refused(400, f"Unrecognized request argument supplied: {unknown[0]}")
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise Refused(400, "you must provide a model parameter")
    if name not in settings.MODELS:
        raise no_such_model(name)
    model = settings.MODELS[name]
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise Refused(400, f"'{form}' is not one of ['float', 'base64'] - 'encoding_format'")
    return Query(
        model, _inputs(body.get("input")), _dimensions(model, body.get("dimensions")), form == "base64"
    )


def _inputs(given: Any) -> list[str] | list[list[int]]:
    if isinstance(given, str) or (isinstance(given, list) and given and isinstance(given[0], int)):
        given = [given]
    if not isinstance(given, list):
        raise Refused(400, "'$.input' is invalid. Send a string or a list.", param="input")
    if not given:
        raise Refused(400, "[] is too short - 'input'", param="input")
    if len(given) > settings.MOST_INPUTS:
        raise Refused(
            400,
            f"Invalid 'input': array too long. Expected an array with maximum length {settings.MOST_INPUTS}, "
            f"but got an array with length {len(given)} instead.",
            code="array_above_max_length",
            param="input",
        )
    if "" in given or [] in given:
        raise Refused(400, "'$.input' is invalid: input cannot be an empty string", param="input")
    if all(isinstance(text, str) for text in given) or all(_is_tokens(ids) for ids in given):
        return given
    raise Refused(400, "'$.input' is invalid. Send strings, or lists of token ids.", param="input")


def _is_tokens(ids: Any) -> bool:
    return isinstance(ids, list) and all(type(token) is int and 0 <= token < _VOCABULARY for token in ids)


def _dimensions(model: settings.Model, given: Any) -> int:
    if given is None:
        return model.dimensions
    if not model.reducible:
        raise Refused(400, "This model does not support specifying dimensions.", param="dimensions")
    if type(given) is not int or not 1 <= given <= model.dimensions:
        raise Refused(400, f"Invalid value for 'dimensions' = {given}.", param="dimensions")
    return given


@dataclass
class Answer:
    """An answer before it is written out: the place where a fault makes it wrong."""

    model: str
    rows: list[Vector | None]
    indexes: list[int]
    usage: dict[str, int] | None
    has_usage: bool = True

    def body(self, in_base64: bool) -> dict[str, Any]:
        """OpenAI's JSON."""
        data = [
            {"object": "embedding", "index": index, "embedding": _encode(row, in_base64)}
            for index, row in zip(self.indexes, self.rows, strict=True)
        ]
        usage = {"usage": self.usage} if self.has_usage else {}
        return {"object": "list", "data": data, "model": self.model, **usage}


def answer(query: Query, counted: int) -> Answer:
    """The right answer to a request of so many tokens."""
    rows: list[Vector | None] = list(vectors(query.model.name, query.inputs, query.dimensions))
    usage = {"prompt_tokens": counted, "total_tokens": counted}
    return Answer(query.model.name, rows, list(range(len(rows))), usage)


def vectors(
    model: str, inputs: Sequence[str] | Sequence[Sequence[int]], dimensions: int
) -> npt.NDArray[np.float32]:
    """One row of length 1 for each input."""
    digests = [
        hashlib.shake_128(f"{model}\0{given}".encode("utf-8", "surrogatepass")).digest(2 * dimensions)
        for given in inputs
    ]
    rows = np.frombuffer(b"".join(digests), dtype="<i2").reshape(len(digests), dimensions)
    # Odd, so never all zero.
    odd = rows.astype(np.float32) * 2 + 1
    unit: npt.NDArray[np.float32] = odd / np.linalg.norm(odd, axis=1, keepdims=True)
    return unit


def _encode(row: Vector | None, in_base64: bool) -> str | list[float] | None:
    if row is None:
        return None
    if not in_base64:
        return list(map(float, row))
    return base64.b64encode(row.astype(row.dtype.newbyteorder("<")).tobytes()).decode()
