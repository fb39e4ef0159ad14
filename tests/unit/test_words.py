"""Text to terms: what a word, an identifier and a script without spaces become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.storage import words
from services.storage.phrases import Phrases


def terms(text: str) -> set[str]:
    """What a passage is found by."""
    return set(words.of_chunk("", text).counts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("snake_case", {"snake_case", "snake", "case"}),
        ("E-1042", {"e-1042", "e", "1042"}),
        ("C++ and C#", {"c++", "c#", "c"}),
        ("v1.2.3", {"v1.2.3", "1.2.3", "v1", "2", "3"}),
        ("e-mail", {"email", "mail"}),
        ("PutChunks", {"putchunks", "put", "chunks"}),
        ("1,024 bytes", {"1024", "1", "024"}),
        ("ask bob@example.com.", {"bob@example.com", "bob", "example", "com"}),
        ("see https://a.example/b?c=1.", {"https://a.example/b?c=1", "example"}),
        ("请访问https://a.example/docs。安装步骤", {"https://a.example/docs", "安装", "装步"}),
        ("喝茶有益", {"茶", "喝茶"}),
        ("std::vector<int>", {"std::vector", "std", "vector", "int"}),
        ("ＦＵＬＬ ﬁle Straße", {"full", "file", "strasse"}),
        ("Café", {"café", "cafe"}),
        ("東京タワー", {"東京", "京タ", "タワ", "ワー"}),
        ("ภาษา", {"ภา", "าษ", "ษา"}),
        ("हिन्दी भाषा", {"हिन्दी", "भाषा"}),
    ],
)
def test_a_text_is_found_by_its_words_identifiers_and_pairs_of_letters(text: str, expected: set[str]) -> None:
    assert expected <= terms(text)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("The vessels were waiting at the anchorage.", "vessel waits"),
        ("Die Häuser der Stadt sind nicht alt und auch nicht hoch.", "Haus"),
        ("Les documents que nous publions sont dans la bibliothèque.", "publier le document et la page"),
        ("Корабли ждут в гавани", "корабль"),
        ("Société générale", "societe"),
    ],
)
def test_a_question_in_another_form_of_a_word_meets_the_passage(text: str, question: str) -> None:
    asked = {term for group in words.of_question(question) for term in (group.word, *group.others)}
    assert asked & terms(text)


def test_the_unstemmed_word_stands_beside_its_stem() -> None:
    assert {"vessels", "~english:vessel"} <= terms("The vessels of the north")


def test_a_heading_counts_more_than_the_text_below_it() -> None:
    found = words.of_chunk("Anchorages", "Vessels wait.")
    assert found.counts["anchorages"] == words.HEADING_WEIGHT * found.counts["vessels"]
    assert found.length == 3


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"Chapter {n} of the guide .... {n * 7}" for n in range(1, 9)),
        "\n".join(f"{n}.{n}. About harbours" for n in range(1, 9)),
        "\n".join(f"- [Harbour {n}](#harbour-{n})" for n in range(1, 9)),
        "\n".join(f"anchor, pilot, tide {n}" for n in range(101, 110)),
    ],
    ids=["dots", "numbers", "links", "index"],
)
def test_a_contents_page_counts_as_longer_so_that_it_does_not_win(text: str) -> None:
    assert words.is_listing(text)
    assert words.of_chunk("", text).length > len(words.terms(text))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"| port | {n} |" for n in range(20)),
        "\n".join(f"Step {n}: open the gate and wait for the pilot." for n in range(20)),
    ],
)
def test_a_table_and_a_list_of_steps_are_no_contents_page(text: str) -> None:
    assert not words.is_listing(text)


def test_a_phrase_is_found_whatever_its_case_accents_and_line_breaks() -> None:
    phrases = Phrases('Where does "Exact Café-phrase" stand?')
    assert phrases.are_in(words.flat("an exact\ncafe phrase"))
    assert not phrases.are_in(words.flat("exactly cafe phrase"))
    assert not phrases.are_in(words.flat("exact phrase cafe"))
    assert Phrases("「東京タワー」").are_in(words.flat("東京タ\nワーです"))
    assert not Phrases('a lone " means nothing')


@given(st.text(), st.text())
def test_any_text_can_be_read(heading: str, text: str) -> None:
    found = words.of_chunk(heading, text)
    assert all(term and count > 0 for term, count in found.counts.items())
    assert found.length >= 0
    words.of_question(text)
    Phrases(text).are_in(words.flat(heading))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ('"parse_config_file to"', "Call parse_config_file to read it."),
        ('"हिन्दी भाषा"', "यह हिन्दी भाषा की पुस्तक है"),
        ('"Strasse nach"', "die Straße nach Norden"),
        ('"gadget"', "ＧＡＤＧＥＴ"),
        ('"cre\u0300me bru\u0302le\u0301e"', "une crème brûlée"),
    ],
)
def test_a_phrase_has_the_ends_of_words_that_the_index_has(question: str, text: str) -> None:
    assert Phrases(question).are_in(words.flat(text))


def test_inches_are_no_quotes() -> None:
    assert not Phrases('19" reactor coolant rack and 24" turbine')
    assert Phrases('the "coolant rack" of 19"')


def test_what_is_quoted_needs_the_parts_of_an_identifier_and_not_the_whole() -> None:
    assert Phrases('"e-mail"').words == {"e", "mail"}


def test_a_long_line_of_dots_costs_no_more_than_its_length() -> None:
    assert not words.is_listing("\n".join(["a" + "." * 200_000 + "b"] * 8))
