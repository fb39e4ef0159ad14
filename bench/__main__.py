"""The stack beside its lower bounds, on one machine, in one run. Prints; asserts nothing.

python -m bench [--documents 10,100] [--large 20] [--pdfs 50]
                [--latency 150,500] [--latency-documents 200] [--latency-large 20] [--rounds 3]
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

from bench import latency, report
from bench.by_hand import ByHand
from bench.corpora import Corpus, markdown_corpus, pdf_corpus
from bench.overhead import steps_of
from bench.stack import Stack

SMALL_CHUNKS, LARGE_CHUNKS, PDF_PAGES = 23, 230, 5
TRACED, WARM = 10, 8


def main() -> None:
    """Measures and prints."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    with _folder() as folder:
        if corpora := _corpora(folder, options.documents, options.large, options.pdfs):
            _local(folder, corpora)
        sizes = ((options.latency_documents, SMALL_CHUNKS), (options.latency_large, LARGE_CHUNKS))
        _at_latencies(folder, options.latency, [size for size in sizes if size[0]], options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    sizes = "sizes of the corpora of 23 chunks a document, comma between; empty: none"
    parser.add_argument("--documents", type=_numbers, default=[10, 100, 1000], metavar="N,…", help=sizes)
    parser.add_argument("--large", type=int, default=20, help="documents of 230 chunks; 0: none")
    parser.add_argument("--pdfs", type=int, default=50, help="PDF documents of 5 pages; 0: none")
    latencies = "latencies of the simulated vendor in ms, comma between; empty: none"
    parser.add_argument("--latency", type=_numbers, default=[150, 500], metavar="MS,…", help=latencies)
    parser.add_argument("--latency-documents", type=int, default=200, help="there, of 23 chunks; 0: none")
    parser.add_argument("--latency-large", type=int, default=20, help="there, of 230 chunks; 0: none")
    parser.add_argument("--rounds", type=int, default=3, help="there, passes of each side in turn")
    return parser.parse_args()


def _local(folder: Path, corpora: Sequence[Corpus]) -> None:
    """Local embedder on both sides."""
    traced = markdown_corpus(folder / "traced", TRACED, SMALL_CHUNKS)
    warm = markdown_corpus(folder / "warm", WARM, SMALL_CHUNKS)
    with ByHand.started(folder / "by-hand", "bench.bound") as hand:
        bounds = [hand.ingest(corpus) for corpus in corpora]
    with Stack.started(folder / "stack") as stack:
        stack.ingest(warm)
        stacks = [stack.ingest(corpus) for corpus in corpora]
        steps = steps_of(stack.client, stack.one_by_one(traced))
    names = [corpus.name for corpus in corpora]
    found = dict(zip(names, zip(bounds, stacks, strict=True), strict=True))
    firsts = {name: (bound.first, stack.first) for name, (bound, stack) in found.items()}
    _print("First pass: lower bound, stack, ratio; Postgres's CPU apart", report.comparison(firsts))
    _print("Unchanged pass", report.unchanged(found))
    _print("By program", report.by_program(firsts))
    _print("One document of 23 chunks at a time, median ms", report.steps(steps))


def _at_latencies(
    folder: Path, latencies: Sequence[int], sizes: Sequence[tuple[int, int]], rounds: int
) -> None:
    """A simulated vendor on both sides."""
    found = list(latency.measured(folder / "latency", latencies, sizes, rounds))
    if not found:
        return
    medians = {one.name: one.medians for one in found}
    title = f"At a vendor's latency, medians of {rounds}: lower bound, stack, ratio; Postgres's CPU apart"
    _print(title, report.comparison(medians))
    _print("By program", report.by_program(medians))
    _print("A call for embeddings above the vendor's latency, ms", report.above_latency(found))


def _print(title: str, text: str) -> None:
    print(f"\n{title}\n{text}", flush=True)


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
