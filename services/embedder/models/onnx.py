"""A transformer that the user has: a folder with an ONNX file and its tokenizer.json.

A text's vector is the mean of its tokens' vectors under the attention mask, at length 1. What is longer
than the model reads is read in windows, and their vectors are averaged by length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.embedder.backends.port import Vectors
from services.embedder.models.averages import joined, unit
from services.embedder.models.packages import required
from waybill.common.v1.space_pb2 import Space
from waybill.runtime.errors import Precondition

EXTRA = "onnx"
# Where tokenizer.json says no length: what BERT and its kin read.
WINDOW_TOKENS = 512
# Of one run, padding among them.
BATCH_TOKENS = 4096
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}


class OnnxModel:
    """See the port. The space is named for the folder; its revision is a hash of the files.

    Args:
        folder: With one `*.onnx`, what weights it keeps beside it, and tokenizer.json.

    Raises:
        Precondition: PACKAGE_MISSING, MODEL_UNUSABLE.
    """

    def __init__(self, folder: Path) -> None:
        path, tokenizer = _found(folder)
        runtime, tokenizers = required("onnxruntime", EXTRA), required("tokenizers", EXTRA)
        try:
            self._tokenizer = _tokenizer(tokenizers, tokenizer)
            self._session = _session(runtime, path)
            self._takes = {each.name for each in self._session.get_inputs()}
            self._gives = _token_vectors(self._session)
            if unknown := self._takes - _INPUTS:
                raise ValueError(f"it asks for {', '.join(sorted(unknown))}")
            dimension = self.vectors(["warm"]).shape[1]
        # The runtime's and the tokenizer's errors have no common class.
        except Exception as error:
            raise Precondition("MODEL_UNUSABLE", f"The model in {folder} cannot be used: {error}") from error
        self.name = f"model {folder.absolute().name}"
        self.space = Space(
            model=folder.absolute().name, dimension=dimension, revision=_revision(path, tokenizer)
        )

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """See the port."""
        encodings = self._tokenizer.encode_batch(list(texts))
        cut = [[one, *one.overflowing] for one in encodings]
        windows: list[list[int]] = [window.ids for of_text in cut for window in of_text]
        sizes = list(map(len, windows))
        # Windows of like length together, so that little is padding.
        order = sorted(range(len(sizes)), key=sizes.__getitem__)
        made = np.concatenate([self._means([windows[place] for place in run]) for run in _runs(order, sizes)])
        return joined(made[np.argsort(order)], sizes, list(map(len, cut)))

    def _means(self, windows: Sequence[list[int]]) -> Vectors:
        sizes = np.array([len(window) for window in windows])
        mask = (np.arange(sizes.max()) < sizes[:, None]).astype(np.int64)
        ids = np.zeros_like(mask)
        ids[mask == 1] = np.concatenate(windows)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}
        taken = {name: given[name] for name in self._takes}
        (hidden,) = self._session.run([self._gives], taken)
        return unit((hidden.astype(np.float32) * mask[:, :, None]).sum(axis=1))


def _found(folder: Path) -> tuple[Path, Path]:
    tokenizer = folder / "tokenizer.json"
    models = sorted(folder.glob("*.onnx"))
    if len(models) == 1 and tokenizer.is_file():
        return models[0], tokenizer
    raise Precondition(
        "MODEL_UNUSABLE",
        f"EMBEDDER_LOCAL_MODEL is {str(folder)!r}. It may be unset (word vectors), sentences, or the"
        f" full path of a folder with one *.onnx and tokenizer.json; there are {len(models)} *.onnx"
        f" and {'a' if tokenizer.is_file() else 'no'} tokenizer.json.",
    )


def _tokenizer(tokenizers: Any, path: Path) -> Any:
    found = tokenizers.Tokenizer.from_file(str(path))
    found.enable_truncation((found.truncation or {}).get("max_length", WINDOW_TOKENS))
    found.no_padding()
    return found


def _session(runtime: Any, path: Path) -> Any:
    options = runtime.SessionOptions()
    # Requests run beside each other; threads within one would only wait for each other.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _token_vectors(session: Any) -> str:
    """The name of the output of shape (texts, tokens, dimension)."""
    for output in session.get_outputs():
        if len(output.shape) == 3:
            return str(output.name)
    raise ValueError("it has no output of shape texts × tokens × dimension")


def _runs(order: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Cuts places, shortest window first, into runs of at most BATCH_TOKENS with their padding."""
    run: list[int] = []
    for place in order:
        if run and (len(run) + 1) * sizes[place] > BATCH_TOKENS:
            yield run
            run = []
        run.append(place)
    yield run


def _revision(model: Path, tokenizer: Path) -> str:
    """Weights that an ONNX file keeps beside it have names that begin with its own."""
    whole = hashlib.sha256()
    for path in [*sorted(model.parent.glob(f"{model.name}*")), tokenizer]:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:16]
