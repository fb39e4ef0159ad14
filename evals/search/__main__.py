"""How well questions find their passages, by kind and by language.

python -m evals.search [--half tuned|kept] [--model sentences]

Plain BM25 over the same chunks is the yardstick. Ends with 1 where ours is below it.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence

from evals.database import migrated
from evals.search import reading
from evals.search.questions import Question, questions
from evals.search.searchers import Found, Ours, Searcher, plain
from services.embedder.backends.local import LocalEmbedder
from services.storage import spaces
from services.storage.search import Mode
from waybill.runtime.postgres import Database

Answers = Mapping[str, Sequence[Found]]
YARDSTICK, OURS = "plain BM25", "ours"


def main() -> int:
    """Asks everything and prints."""
    parser = argparse.ArgumentParser(prog="python -m evals.search", description=__doc__)
    parser.add_argument("--half", choices=("tuned", "kept"), help="only the half that was kept back, or not")
    parser.add_argument(
        "--model", default="", help="EMBEDDER_LOCAL_MODEL: its vectors, with its space's weight"
    )
    options = parser.parse_args()
    half = options.half
    asked = [one for one in questions() if half is None or one.kept_back == (half == "kept")]
    answers = asyncio.run(_answers(asked, options.model))
    print(*_tables(asked, answers), sep="\n")
    return int(_mean(asked, answers[OURS], 1) < _mean(asked, answers[YARDSTICK], 1))


async def _answers(asked: Sequence[Question], model: str) -> Answers:
    documents = await reading.documents()
    print(f"{len(documents)} documents, {sum(map(len, documents.values()))} chunks, {len(asked)} questions\n")
    with migrated() as urls:
        database, owner = await Database.open(urls.storage), await Database.open(urls.owner)
        try:
            ours = Ours(database, LocalEmbedder(model))
            await spaces.make(owner, ours.space)
            await ours.fill(documents)
            searchers: dict[str, Searcher] = {
                YARDSTICK: plain(documents),
                "vectors alone": ours.searcher(Mode.VECTOR),
                "words alone": ours.searcher(Mode.TEXT),
                OURS: ours.searcher(Mode.HYBRID),
            }
            return {name: [await search(one.question) for one in asked] for name, search in searchers.items()}
        finally:
            await database.close()
            await owner.close()


def _tables(asked: Sequence[Question], answers: Answers) -> list[str]:
    lines = [
        "| questions | search | n | @1 | @3 | @10 | MRR |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, wanted in _groups(asked).items():
        lines += [_row(name, search, asked, found, wanted) for search, found in answers.items()]
    none = [place for place, one in enumerate(asked) if one.kind == "none"]
    lines += ["", "No answer: " + ", ".join(_empty(name, found, none) for name, found in answers.items())]
    return lines


def _groups(asked: Sequence[Question]) -> dict[str, Callable[[Question], bool]]:
    """What is told apart: all, each half, kinds, languages."""
    groups: dict[str, Callable[[Question], bool]] = {"all": lambda one: True}
    groups["kept back"] = lambda one: one.kept_back
    groups["kept back, not English"] = lambda one: one.kept_back and one.language != "en"
    for kind in dict.fromkeys(one.kind for one in asked if one.kind != "none"):
        groups[kind] = lambda one, kind=kind: one.kind == kind  # type: ignore[misc]
    for language in dict.fromkeys(one.language for one in asked):
        groups[language] = lambda one, language=language: one.language == language  # type: ignore[misc]
    return groups


def _row(
    name: str,
    search: str,
    asked: Sequence[Question],
    found: Sequence[Found],
    wanted: Callable[[Question], bool],
) -> str:
    pairs = [
        (one, hits) for one, hits in zip(asked, found, strict=True) if one.kind != "none" and wanted(one)
    ]
    ranks = [one.rank(hits.hits) for one, hits in pairs]
    figures = [sum(rank is not None and rank <= most for rank in ranks) for most in (1, 3, 10)]
    reciprocal = sum(1 / rank for rank in ranks if rank)
    shares = [f"{figure / max(len(ranks), 1):.2f}" for figure in (*figures, reciprocal)]
    return f"| {name} | {search} | {len(ranks)} | {' | '.join(shares)} |"


def _mean(asked: Sequence[Question], found: Sequence[Found], most: int) -> float:
    ranks = [one.rank(hits.hits) for one, hits in zip(asked, found, strict=True) if one.kind != "none"]
    return sum(rank is not None and rank <= most for rank in ranks) / max(len(ranks), 1)


def _empty(name: str, found: Sequence[Found], none: Sequence[int]) -> str:
    return f"{name} {sum(not found[place].hits for place in none)} of {len(none)} empty"


if __name__ == "__main__":
    raise SystemExit(main())
