"""The models that are served: the configured one, and others beside it, each made when first asked for.

A collection stays in the space that its vectors are in until `waybill migrate-space` moves it, whichever
model is configured by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from services.embedder.backends.local import LocalEmbedder, model_named
from services.embedder.backends.port import EmbeddingBackend
from services.embedder.config import OPENAI_DIMENSIONS
from services.embedder.embedding import Embeddings
from waybill.common.v1.space_pb2 import Space
from waybill.runtime.errors import Precondition
from waybill.runtime.semconv import LOCAL
from waybill.vendors.registry import OPENAI

# Each holds a model, and anybody who may embed can name one. The one least recently asked for makes room.
MOST_MODELS = 8
MAX_DIMENSION = 4_000
# What serves a backend that is not served, by its name.
MEND = {
    OPENAI.name: "Set EMBEDDER_ALSO=openai and its key beside your other settings, then `waybill restart`.",
    LOCAL: "WAYBILL_ENV=production refuses it.",
}
# Answers None for a model that it has not.
Maker = Callable[[str, int], Embeddings | None]


class Spaces:
    """Finds the embeddings of a space.

    Args:
        defaults: Of the configured model; then of the other backend, where one is served beside.
        makers: One a backend, in the order in which they are asked.
        later: Makes a backend's own model when it is first asked for, by the backend's name.
    """

    def __init__(
        self,
        defaults: Sequence[Embeddings],
        makers: Sequence[Maker],
        later: Mapping[str, Callable[[], Embeddings]],
    ) -> None:
        self.default = defaults[0]
        self._defaults = {one.name: one for one in defaults}
        self._makers = makers
        self._later = later
        # The one that was asked for last stands last.
        self._made: dict[tuple[str, int], Embeddings] = {}
        self._lock = asyncio.Lock()

    @property
    def backends(self) -> Sequence[str]:
        """Those that there are, by name."""
        return list({**self._defaults, **self._later})

    async def of_backend(self, name: str) -> Embeddings:
        """The embeddings of a backend's own model.

        Raises:
            Precondition: BACKEND_MISSING, PACKAGE_MISSING, MODEL_UNUSABLE.
        """
        async with self._lock:
            if name not in self._defaults and name in self._later:
                self._defaults[name] = await asyncio.to_thread(self._later[name])
        if name not in self._defaults:
            raise Precondition(
                "BACKEND_MISSING",
                f"The embedder was started without its backend {name}. {MEND[name]}",
                {"backend": name},
            )
        return self._defaults[name]

    async def of(self, space: Space) -> Embeddings:
        """Raises Precondition: SPACE_MISMATCH, PACKAGE_MISSING."""
        for one in self._defaults.values():
            if space == one.space:
                return one
        found = await self.named(space.model, space.dimension)
        if found.space != space:
            raise self._not_served(space.model, space.dimension, found.space)
        return found

    async def named(self, model: str, dimension: int = 0) -> Embeddings:
        """The embeddings of a model, in its own dimension where none is named.

        Raises:
            Precondition: SPACE_MISMATCH, PACKAGE_MISSING.
        """
        own = self.default.space
        if model == own.model and dimension in (0, own.dimension):
            return self.default
        key = model, dimension
        async with self._lock:
            found = self._made.pop(key, None)
            if found is None and 0 <= dimension <= MAX_DIMENSION:
                # A local model takes a second of CPU to load.
                found = await asyncio.to_thread(self._make, model, dimension)
            if found is None:
                raise self._not_served(model, dimension, own)
            if len(self._made) >= MOST_MODELS:
                del self._made[next(iter(self._made))]
            self._made[key] = found
            return found

    def _make(self, model: str, dimension: int) -> Embeddings | None:
        made = (make(model, dimension) for make in self._makers)
        return next((one for one in made if one is not None), None)

    def _not_served(self, model: str, dimension: int, served: Space) -> Precondition:
        asked = f"{model[:100]}{f' with {dimension} dimensions' if dimension else ''}"
        return Precondition(
            "SPACE_MISMATCH",
            f"The embedder does not serve {asked!r}; it is set to {served.model} with {served.dimension}"
            f" dimensions, and serves other models of {' and '.join(self.backends)}.{self._mend(model)}",
            {"model": served.model, "dimension": str(served.dimension), "revision": served.revision},
        )

    def _mend(self, model: str) -> str:
        if model_named(model) is not None:
            return "" if LOCAL in self.backends else f" That is made on this machine. {MEND[LOCAL]}"
        if OPENAI.name in self.backends:
            return ""
        return f" Is it OpenAI's, or a like server's? {MEND[OPENAI.name]}"


def openai_dimension(model: str, dimension: int, like: str) -> int:
    """Numbers in each vector of a model of OpenAI's; 0: there is no such one.

    Args:
        model: Its name.
        dimension: That is asked for; 0: the model's own.
        like: The configured model. Where it is none of OpenAI's, the server may have any other model, too.
    """
    own = OPENAI_DIMENSIONS.get(model)
    if own is None:
        return 0 if like in OPENAI_DIMENSIONS else dimension
    # The older model cannot be cut.
    fits = dimension in (0, own) or (dimension < own and "-3-" in model)
    return (dimension or own) if fits else 0


def local_backend(model: str, dimension: int) -> EmbeddingBackend | None:
    """A local model by its space's name; None where there is none of that dimension.

    Raises:
        Precondition: PACKAGE_MISSING.
    """
    name = model_named(model)
    found = None if name is None else LocalEmbedder(name)
    return found if found and dimension in (0, found.space.dimension) else None
