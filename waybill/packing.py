"""How texts become vendor requests: each is priced and rounded alone, so a plan packs as a run does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Packed(NamedTuple):
    """The texts from `start` to before `end`, and their tokens."""

    start: int
    end: int
    tokens: int


def packed(counts: Sequence[int], most_texts: int, target_tokens: int) -> Iterator[Packed]:
    """Cuts texts into requests, in order.

    Args:
        counts: Tokens of each text.
        most_texts: Of one request.
        target_tokens: A request has no more, unless it is one text that alone has.
    """
    start, total = 0, 0
    for place, count in enumerate(counts):
        if place > start and (place - start == most_texts or total + count > target_tokens):
            yield Packed(start, place, total)
            start, total = place, 0
        total += count
    if start < len(counts):
        yield Packed(start, len(counts), total)
