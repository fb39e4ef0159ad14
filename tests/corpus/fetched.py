"""Real documents for tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property

import pytest

from evals.corpus import Document, Package, packages
from evals.read import worker
from evals.read.expected import expectations
from evals.read.results import Result
from evals.registries import NotFetched


def is_expected(document: Document) -> bool:
    """Whether a person said what is in it."""
    return document.key in expectations()


class Documents:
    """Documents of some packages, fetched and read together when the first of them is asked for."""

    def __init__(self, *names: str, wanted: Callable[[Document], bool] = is_expected) -> None:
        self._names = names
        self._wanted = wanted

    @property
    def expected(self) -> list[str]:
        """Keys of those of which a person said what is in them; known before anything is fetched."""
        return [key for key in expectations() if key.partition("/")[0] in self._names]

    def result(self, key: str) -> Result:
        """How one was read."""
        return self.results[key]

    @cached_property
    def results(self) -> dict[str, Result]:
        """How each was read. Skips the test where there is no network, but never in CI."""
        documents = [
            document for name in self._names for document in fetched(_named(name)) if self._wanted(document)
        ]
        return {result.key: result for result in worker.read(documents).results}


def _named(name: str) -> Package:
    [package] = packages(lambda each: each.name == name)
    return package


def fetched(package: Package) -> list[Document]:
    """A package's documents. Skips the test where there is no network, but never in CI."""
    try:
        return package.documents()
    except NotFetched as reason:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"not fetched: {reason}")
