"""Vectors brought to length 1, and the windows of a long text made one vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.embedder.backends.port import Vectors


def unit(vectors: Vectors) -> Vectors:
    """Each row at length 1."""
    lengths: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


def joined(windows: Vectors, sizes: Sequence[int], counts: Sequence[int]) -> Vectors:
    """One vector a text: the mean of its windows' vectors by their sizes.

    Args:
        windows: A row a window, text by text.
        sizes: Of each window, in characters or tokens.
        counts: Windows of each text, at least 1.
    """
    starts = np.cumsum([0, *counts[:-1]])
    weighted = windows * np.asarray(sizes, np.float32)[:, None]
    return unit(np.add.reduceat(weighted, starts, axis=0))
