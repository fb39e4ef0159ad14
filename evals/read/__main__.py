"""Reads the corpus with the local engine and says what came of it.

python -m evals.read [--only pdf,docx] [--package pypdf]

Ends with 1 when a document crashed the parser, a chunk is not at its place, or a package was not fetched
under CI=true.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from evals.corpus import Document, Package, packages
from evals.read import installed, table, worker
from evals.read.results import Group, Outcome
from evals.registries import NotFetched

_FETCHES = 4


def main() -> int:
    """Reads and prints."""
    options = _options()
    documents, missing = _fetched(packages(lambda each: options.package in ("", each.name)))
    for reason in missing:
        print(f"NOT FETCHED  {reason}")
    formats = sorted({document.take.format for document in documents})
    wanted = [name for name in formats if not options.only or name in options.only.split(",")]
    groups = _read([[one for one in documents if one.take.format == name] for name in wanted])
    _print(groups)
    bad = any(
        one.outcome is Outcome.CRASHED or one.wrong_offsets for group in groups for one in group.results
    )
    return int(bad or not groups or bool(missing and os.environ.get("CI") == "true"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evals.read", description=__doc__)
    parser.add_argument("--only", default="", help="formats, by comma")
    parser.add_argument("--package", default="", help="the documents of one package")
    return parser.parse_args()


def _fetched(wanted: Sequence[Package]) -> tuple[list[Document], list[str]]:
    """The documents, and why some of them are not here."""
    with ThreadPoolExecutor(_FETCHES) as pool:
        answers = list(pool.map(_documents, wanted))
    found = [document for answer in answers if not isinstance(answer, str) for document in answer]
    return found, [answer for answer in answers if isinstance(answer, str)]


def _documents(package: Package) -> list[Document] | str:
    try:
        return package.documents()
    except NotFetched as reason:
        return str(reason)


def _read(formats: Sequence[Sequence[Document]]) -> list[Group]:
    """One format after another, each in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        return list(pool.map(worker.read, formats))


def _print(groups: Sequence[Group]) -> None:
    if not groups:
        return
    results = [result for group in groups for result in group.results]
    print(*table.by_format(groups), "", *table.notes(results), sep="\n")
    megabytes = installed.parser_bytes() / 1e6
    print(f"installed size of what the parser depends on: {megabytes:.0f} MB", "", sep="\n")
    print(*table.defects(results), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
