"""The stack beside a lower bound and, where `make bench-env` has installed them, frameworks. Asserts nothing.

python -m bench [--latency 150,500] [--documents 200] [--large 20] [--rounds 3]
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import latency, report

SMALL_CHUNKS, LARGE_CHUNKS = 23, 230


def main() -> None:
    """Measures and prints."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    wanted = ((options.documents, SMALL_CHUNKS), (options.large, LARGE_CHUNKS))
    sizes = [size for size in wanted if size[0]]
    with _folder() as folder:
        for found, alone in latency.measured(folder, options.latency, sizes, options.rounds):
            _print(f"Medians of {options.rounds}; × the lower bound", report.comparison(found))
            _print("By program", report.by_program(found))
            _print("A call for embeddings above the vendor's latency, ms", report.above_latency(found))
            _print("One document of 23 chunks at a time, median ms", report.alone(alone))
            _print("Its calls", report.calls(alone.trips))
            _print("Its transactions", report.transactions(alone.trips))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    latencies = "latencies of the simulated vendor in ms, comma between"
    parser.add_argument("--latency", type=_numbers, default=[150, 500], metavar="MS,…", help=latencies)
    parser.add_argument("--documents", type=int, default=200, help="of 23 chunks; 0: none")
    parser.add_argument("--large", type=int, default=20, help="documents of 230 chunks; 0: none")
    parser.add_argument("--rounds", type=int, default=3, help="passes of each side in turn")
    return parser.parse_args()


def _print(title: str, text: str) -> None:
    print(f"\n{title}\n{text}", flush=True)


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
