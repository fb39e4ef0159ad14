"""A job's texts are packed as those of one call, in whatever messages they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.embedder.backends.local import LocalEmbedder
from services.embedder.batch_lines import LineName, packed
from services.embedder.embedding import pack
from waybill import tokens

LIMITS = LocalEmbedder().capabilities
WORDS = "several words of text " * 350


async def parts(texts: Sequence[str], cuts: Sequence[int]) -> AsyncIterator[tuple[int, Sequence[str]]]:
    ends = [*sorted({cut for cut in cuts if 0 < cut < len(texts)}), len(texts)]
    for start, end in zip([0, *ends], ends, strict=False):
        yield start, texts[start:end]


@given(st.lists(st.integers(1, 59), max_size=8))
async def test_the_lines_do_not_depend_on_the_messages(cuts: list[int]) -> None:
    texts = [WORDS] * 60
    whole = list(pack(LIMITS, texts, tokens.count(texts)))
    assert [line async for line in packed(LIMITS, parts(texts, cuts))] == whole
    assert len(whole) > 2


@pytest.mark.parametrize(
    "other", ["", "batch-1", "a:1:2:3", "0" * 36 + ":1:2", "0" * 36 + ":-1:2:3", "0" * 36 + ":1:0:3"]
)
def test_a_custom_id_of_somebody_else_is_none(other: str) -> None:
    assert LineName.parse(other) is None


def test_a_lines_name_is_read_as_it_was_written() -> None:
    name = LineName("01234567-89ab-cdef-0123-456789abcdef", 49_999, 2048, 290_000)
    assert LineName.parse(str(name)) == name
    assert len(str(name)) <= 64
