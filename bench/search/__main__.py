"""How long a search by words takes, by size of the tenant and by kind of words.

python -m bench.search [--chunks 10000,100000]     (1000000 takes some 40 minutes and 15 GB)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path

import numpy as np
import psycopg

from bench.search.loading import COLLECTION, Loader
from bench.search.texts import Vocabulary
from evals.database import migrated
from services.storage import search
from services.storage.reach import Filter
from services.storage.search import Mode, Question
from waybill.runtime.postgres import Database

LARGE, SMALL, SMALL_CHUNKS = "large", "small", 500
EACH, AT_ONCE = 40, 12
SIZES = """
select pg_total_relation_size('waybill_index.postings'), pg_relation_size('waybill_index.postings'),
    pg_total_relation_size('waybill_index.chunks')
"""


def main() -> None:
    """Measures each size in a database of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.add_argument("--chunks", default="10000,100000")
    vocabulary = Vocabulary.real()
    for chunks in map(int, parser.parse_args().chunks.split(",")):
        with migrated() as urls:
            with psycopg.connect(urls.admin, autocommit=True) as admin:
                _load(admin, vocabulary, chunks)
            asyncio.run(_measure(urls.storage, vocabulary))


def _load(admin: psycopg.Connection, vocabulary: Vocabulary, chunks: int) -> None:
    began = time.perf_counter()
    loader = Loader(admin, vocabulary)
    loaded = loader.load(LARGE, chunks, 1)
    loader.load(SMALL, SMALL_CHUNKS, 2)
    admin.execute("vacuum analyze")
    row = admin.execute(SIZES).fetchone()
    assert row is not None
    print(
        f"\n## {chunks:,} chunks of {loaded.documents:,} documents, {loaded.postings:,} rows of postings\n\n"
        f"written in {loaded.seconds:.0f} s of {time.perf_counter() - began:.0f} s;"
        f" postings {row[0] / 1e6:,.0f} MB (rows {row[1] / 1e6:,.0f}), chunks {row[2] / 1e6:,.0f} MB\n"
    )


def _kinds(vocabulary: Vocabulary) -> Mapping[str, list[str]]:
    """Questions of each kind; words are ranked by how common they are."""
    random = np.random.default_rng(7)

    def ask(*ranges: tuple[int, int, int]) -> str:
        ids = [one for first, last, count in ranges for one in random.integers(first, last, count)]
        return " ".join(vocabulary.words[one] for one in random.permutation(ids))

    return {
        "rare": [ask((20_000, 100_000, 2)) for _ in range(EACH)],
        "middle": [ask((500, 5_000, 3)) for _ in range(EACH)],
        "common": [ask((20, 200, 3)) for _ in range(EACH)],
        "question": [ask((0, 30, 5), (100, 1_000, 2), (1_000, 20_000, 2)) for _ in range(EACH)],
        "phrase": [f'"{ask((0, 30, 1), (30, 300, 1))}"' for _ in range(EACH)],
    }


async def _measure(url: str, vocabulary: Vocabulary) -> None:
    database = await Database.open(url)
    kinds = _kinds(vocabulary)
    everything = [one for some in zip(*kinds.values(), strict=True) for one in some]
    try:
        await _alone(database, LARGE, [one for some in kinds.values() for one in some])
        print("| words | p50 ms | p99 ms | CPU ms, service | CPU ms, Postgres |\n" + "| --- " * 5 + "|")
        for kind, questions in kinds.items():
            await _row(database, kind, _alone(database, LARGE, questions))
        await _row(database, f"all, {AT_ONCE} at once", _at_once(database, everything))
        await _row(database, "all, a small tenant", _alone(database, SMALL, everything))
    finally:
        await database.close()


async def _row(database: Database, name: str, asking: Awaitable[list[float]]) -> None:
    """The machine may be busy with other things: CPU time tells what is ours."""
    before = time.process_time(), await _postgres_seconds(database)
    milliseconds = await asking
    after = time.process_time(), await _postgres_seconds(database)
    spent = [1000 * (late - early) / len(milliseconds) for early, late in zip(before, after, strict=True)]
    p50, p99 = np.percentile(milliseconds, [50, 99])
    print(f"| {name} | {p50:.0f} | {p99:.0f} | {spent[0]:.1f} | {spent[1]:.1f} |", flush=True)


async def _postgres_seconds(database: Database) -> float:
    """CPU time of our connections' processes, where the system tells."""
    async with database.transaction(None) as connection:
        query = "select pid from pg_stat_activity where usename = current_user"
        pids = [row["pid"] for row in await (await connection.execute(query)).fetchall()]
    return sum(map(_seconds_of, pids))


def _seconds_of(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _alone(database: Database, tenant: str, questions: Sequence[str]) -> list[float]:
    return [await _ask(database, tenant, question) for question in questions]


async def _at_once(database: Database, questions: Sequence[str]) -> list[float]:
    waiting = list(questions)

    async def some() -> list[float]:
        return [await _ask(database, LARGE, waiting.pop()) for _ in range(len(questions) // AT_ONCE)]

    return [
        one
        for some_of_them in await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        for one in some_of_them
    ]


async def _ask(database: Database, tenant: str, question: str) -> float:
    began = time.perf_counter()
    await search.search(database, tenant, Question(Filter(COLLECTION), Mode.TEXT, question))
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
