"""Recall of two spaces on the caller's own questions: what counts as found, and how a file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from waybill.cli.questions import Comparison, Question, overlap, read, rows
from waybill.common.v1.space_pb2 import Space
from waybill.orchestrator.v1.space_migration_pb2 import SpaceTrial
from waybill.runtime.errors import InvalidRequest, NotFound
from waybill.storage.v1.chunk_pb2 import Chunk, Hit, Place


def hit(key: str, text: str = "", *copies: str) -> Hit:
    also = [Place(document_key=copy) for copy in copies]
    return Hit(document_key=key, chunk=Chunk(text=text, sha256=f"{key}/{text}"), also=also)


def trial(model: str, *hits: Hit, exact: tuple[Hit, ...] = ()) -> SpaceTrial:
    return SpaceTrial(space=Space(model=model, dimension=8), hybrid=hits, nearest=hits, exact=exact or hits)


def test_a_document_is_found_by_its_key_or_in_a_copy_and_a_phrase_in_any_case() -> None:
    hits = [hit("a.md"), hit("b.md", "The LOCK keeper", "copy.md")]
    question = Question("q", documents=("a.md", "copy.md", "c.md"), phrases=("lock keeper", "weir"))
    assert question.ranks(hits) == [1, 2, None, 2, None]


def test_recall_is_the_share_of_what_is_expected_and_mrr_of_the_first() -> None:
    report = Comparison()
    others = [hit(f"{number}.md") for number in range(5)]
    report.add(
        Question("q", ("a.md", "b.md")),
        trial("old", hit("a.md"), *others, hit("b.md")),
        trial("new", *others),
    )
    report.add(Question("q", ("a.md",)), trial("old", *others[:1], hit("a.md")), trial("new", hit("a.md")))
    report.add(Question("without"), trial("old"), trial("new"))
    shape = report.shape()
    assert (shape["questions"], shape["questions_with_expectations"]) == (3, 2)
    assert shape["searched"]["hybrid"] == {
        "recall_at_1": 0.25, "recall_at_5": 0.75, "recall_at_10": 1.0, "mrr": 0.75,
    }  # fmt: skip
    assert shape["beside"]["hybrid"] == {
        "recall_at_1": 0.5, "recall_at_5": 0.5, "recall_at_10": 0.5, "mrr": 0.5,
    }  # fmt: skip


def test_what_the_index_finds_is_measured_against_every_vector_looked_at() -> None:
    report = Comparison()
    exact = tuple(hit(f"{number}.md") for number in range(10))
    report.add(Question("q"), trial("old", *exact[:9], hit("far.md"), exact=exact), trial("new", *exact[:5]))
    assert report.shape()["searched"]["index_recall"] == pytest.approx(0.9)
    assert report.shape()["beside"]["index_recall"] == 1.0
    assert report.shape()["overlap_of_vectors"] == pytest.approx(0.5)
    assert "recall@1" not in str(list(rows(report))), "nothing was expected, so no recall is told"


def test_two_answers_overlap_by_passage() -> None:
    assert overlap([hit("a.md", "x"), hit("a.md", "y")], [hit("a.md", "y")]) == 0.5
    assert overlap([], [hit("a.md")]) == 1.0


def test_a_file_has_a_question_a_line_as_text_or_json(tmp_path: Path) -> None:
    file = tmp_path / "questions"
    file.write_text('How long?\n\n  {"question": "Who?", "documents": ["a.md"], "phrases": ["x"]}\n')
    assert read(file) == [Question("How long?"), Question("Who?", ("a.md",), ("x",))]


@pytest.mark.parametrize(
    "line",
    [
        '{"question": ""}',
        '{"documents": []}',
        '{"question": "q", "documents": "a"}',
        '{"question": "q", "x": 1}',
        "{",
        "",
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "questions"
    file.write_text(line)
    with pytest.raises(InvalidRequest) as caught:
        read(file)
    assert caught.value.reason == "TEXT_INVALID"
    with pytest.raises(NotFound):
        read(tmp_path / "none")
