"""The stack beside its lower bound, on one machine, in one run. Prints; asserts nothing.

python -m bench [--documents 10,100] [--large 20] [--pdfs 50]
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import report
from bench.by_hand import ByHand
from bench.corpora import Corpus, markdown_corpus, pdf_corpus
from bench.overhead import steps_of
from bench.stack import Stack

SMALL_CHUNKS, LARGE_CHUNKS, PDF_PAGES = 23, 230, 5
TRACED, WARM = 10, 8


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    sizes = "sizes of the corpora of 23 chunks a document, comma between"
    parser.add_argument("--documents", type=_numbers, default=[10, 100, 1000], metavar="N,…", help=sizes)
    parser.add_argument("--large", type=int, default=20, help="documents of 230 chunks; 0: none")
    parser.add_argument("--pdfs", type=int, default=50, help="PDF documents of 5 pages; 0: none")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    with _folder() as folder:
        corpora = _corpora(folder, options.documents, options.large, options.pdfs)
        traced = markdown_corpus(folder / "traced", TRACED, SMALL_CHUNKS)
        warm = markdown_corpus(folder / "warm", WARM, SMALL_CHUNKS)
        with ByHand.started(folder / "by-hand") as hand:
            bounds = [hand.ingest(corpus) for corpus in corpora]
        with Stack.started(folder / "stack") as stack:
            stack.ingest(warm)
            stacks = [stack.ingest(corpus) for corpus in corpora]
            steps = steps_of(stack.client, stack.one_by_one(traced))
    found = {
        corpus.name: pair for corpus, pair in zip(corpora, zip(bounds, stacks, strict=True), strict=True)
    }
    for title, text in (
        ("First pass: lower bound, stack, ratio; Postgres's CPU apart", report.comparison(found)),
        ("Unchanged pass", report.unchanged(found)),
        ("By program", report.by_program(found)),
        ("One document of 23 chunks at a time, median ms", report.steps(steps)),
    ):
        print(f"\n{title}\n{text}")


def _corpora(folder: Path, documents: Sequence[int], large: int, pdfs: int) -> list[Corpus]:
    found = [markdown_corpus(folder / f"small-{number}", number, SMALL_CHUNKS) for number in documents]
    if large:
        found.append(markdown_corpus(folder / "large", large, LARGE_CHUNKS))
    if pdfs:
        found.append(pdf_corpus(folder / "pdf", pdfs, PDF_PAGES))
    return found


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


@contextmanager
def _folder() -> Iterator[Path]:
    """Gone afterwards; others may pass, not look: Postgres' unprivileged user has its folder in here."""
    folder = Path(tempfile.mkdtemp(prefix="waybill-bench-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
