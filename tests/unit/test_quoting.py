"""What a plan counts and rounds, against sums that are made by hand."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.prices import Price as Known
from services.ledger.prices import PriceTable
from services.orchestrator.quoting import PriceList, Texts, gapless, lines, requests
from waybill.common.v1.cost_pb2 import CostKind
from waybill.embedder.v1.offer_pb2 import EmbeddingOffer
from waybill.ledger.v1.price_pb2 import Price
from waybill.packing import packed
from waybill.parser.v1.preview_pb2 import Preview
from waybill.runtime.errors import Precondition

DAY = datetime.date(2026, 11, 27)
# 1 nano-USD for 3 tokens, so that each request is rounded; the batch's is a half.
THIRD = 333_333
PRICES = PriceList(
    DAY,
    [
        Price(vendor="openai", model="m", unit="token", nano_usd_per_million=THIRD),
        Price(vendor="openai", model="m batch", unit="token", nano_usd_per_million=THIRD // 2),
        Price(vendor="llamaparse", model="fast", unit="page", nano_usd_per_million=1_250_000_000_000),
        Price(vendor="llamaparse", model="agentic", unit="page", nano_usd_per_million=12_500_000_000_000),
        Price(vendor="llamaparse", model="layout extraction", unit="page", nano_usd_per_million=3_750),
        Price(vendor="local", model="*", unit="page"),
        Price(vendor="local", model="*", unit="token"),
    ],
)
OFFER = EmbeddingOffer(
    vendor="openai", model="m", batch_model="m batch", kind=CostKind.COST_KIND_REAL,
    request_texts=3, request_tokens=100,
)  # fmt: skip


def count(expected: int, most: int | None = None, *, exact: bool = True) -> Preview.Count:
    return Preview.Count(expected=expected, most=expected if most is None else most, exact=exact)


def vendor_preview(pages: Preview.Count, *, text_known: bool = False) -> Preview:
    return Preview(
        vendor="llamaparse", model="fast", cost_kind=CostKind.COST_KIND_SIMULATED,
        count=pages, vendor_count=pages, text_known=text_known,
    )  # fmt: skip


def texts(counts: Sequence[int], pending: Sequence[bool], *, known: bool = True) -> Texts:
    return Texts(counts, pending, [(0, len(counts))], known, more_tokens=0, chunk_tokens=512)


def rounded_up(tokens: int, price: int = THIRD) -> int:
    return -(-tokens * price // 1_000_000)


def test_each_request_is_rounded_by_itself() -> None:
    counts, pending = [50, 50, 10, 40, 7], [True, True, True, False, True]
    line = lines(
        PRICES, vendor_preview(count(0), text_known=True), OFFER, texts(counts, pending), batch=False
    )[0]
    # 50 + 50 are a full request; what has a vector is in none.
    assert line.tokens == 117
    assert line.embed_nano_usd == rounded_up(100) + rounded_up(17)
    assert line.embed_nano_usd != rounded_up(117)
    assert (line.exact, line.configured, line.most_embed_nano_usd) == (True, True, line.embed_nano_usd)


def test_no_request_of_a_batch_spans_what_is_kept_and_its_most_is_the_price_without_one() -> None:
    counts, pending = [5, 5, 5, 5], [True, False, True, True]
    assert gapless(pending) == [(0, 1), (2, 4)]
    line = lines(
        PRICES, vendor_preview(count(0), text_known=True), OFFER, texts(counts, pending), batch=True
    )[0]
    assert line.batch
    assert line.embed_nano_usd == rounded_up(5, THIRD // 2) + rounded_up(10, THIRD // 2)
    assert line.most_embed_nano_usd == rounded_up(15)


def test_text_that_a_vendor_makes_is_an_estimate_with_a_bound() -> None:
    line = lines(
        PRICES, vendor_preview(count(3)), OFFER, texts([60, 60], [True, True], known=False), batch=False
    )[0]
    assert (line.parse_nano_usd, line.most_parse_nano_usd) == (3 * 1_250_000, 3 * 1_250_000)
    assert (line.tokens, line.embed_nano_usd) == (120, rounded_up(120))
    assert line.most_embed_nano_usd == rounded_up(2 * 120 + 10 * 512)
    assert not line.exact


def test_pages_that_are_a_vendor_s_own_to_make_have_an_expected_and_a_most() -> None:
    line = lines(
        PRICES, vendor_preview(count(4, 18, exact=False)), OFFER, texts([9], [True], known=False), batch=False
    )[0]
    assert (line.parse_nano_usd, line.most_parse_nano_usd) == (4 * 1_250_000, 18 * 1_250_000)
    assert not line.exact


def test_local_work_is_exact_and_beside_it_stands_each_pair_at_vendors() -> None:
    preview = Preview(
        vendor="local", model="pdf engine", cost_kind=CostKind.COST_KIND_LOCAL, count=count(2),
        vendor_count=count(2), text_known=True, paid_tiers=["agentic"],
    )  # fmt: skip
    offer = EmbeddingOffer(vendor="local", model="word vectors", request_texts=3, request_tokens=100)
    found = lines(PRICES, preview, offer, texts([60, 60], [False, False]), batch=False)
    assert [(one.parse_model, one.embed_model, one.batch) for one in found] == [
        (parse, embed, batch)
        for parse in ("pdf engine", "agentic", "fast")
        for embed, batch in (("word vectors", False), ("m", False), ("m", True))
    ]
    free, elsewhere = found[0], found[1]
    assert (free.configured, free.exact, free.parse_nano_usd + free.embed_nano_usd) == (True, True, 0)
    # Another space has none of the vectors.
    assert elsewhere.embed_nano_usd == rounded_up(60) + rounded_up(60)
    costs = {one.parse_model: one.parse_nano_usd for one in found}
    assert costs == {"pdf engine": 0, "agentic": 0, "fast": 2 * 1_250_000}


def test_an_add_on_of_a_vendor_is_no_way_to_parse() -> None:
    found = lines(PRICES, vendor_preview(count(16)), OFFER, texts([5], [True]), batch=False)
    assert {line.parse_model for line in found} == {"fast", "agentic"}


def test_a_price_that_nobody_knows_is_refused() -> None:
    offer = EmbeddingOffer(vendor="else", model="x", request_texts=3, request_tokens=100)
    with pytest.raises(Precondition, match="PRICE_UNKNOWN"):
        lines(PRICES, vendor_preview(count(1)), offer, texts([1], [True]), batch=False)


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=40))
def test_requests_have_each_pending_token_once_and_none_is_too_large(chunks: list[tuple[int, bool]]) -> None:
    counts, pending = [count for count, _ in chunks], [waits for _, waits in chunks]
    wanted = sum(count for count, waits in chunks if waits)
    for ranges in ([(0, len(chunks))], gapless(pending)):
        bought = list(requests(counts, pending, ranges, OFFER))
        assert sum(bought) == wanted
        assert all(0 < tokens <= OFFER.request_tokens for tokens in bought)


def test_a_text_that_is_too_large_for_a_request_is_one_of_its_own() -> None:
    assert [one.tokens for one in packed([5, 500, 5], 10, 100)] == [5, 500, 5]


def test_a_day_has_one_price_for_each_thing_and_one_s_own_goes_first() -> None:
    def known(model: str, day: str, price: int) -> Known:
        return Known("openai", model, "token", price, datetime.date.fromisoformat(day), "a test")

    listed = [known("m", "2024-01-01", 1), known("m", "2026-12-01", 2), known("new", "2027-01-01", 9)]
    table = PriceTable(listed, [known("*", "2026-11-01", 7)])
    found = {price.model: (price.nano_usd_per_million, own) for price, own in table.on(DAY)}
    assert found == {"*": (7, True), "m": (7, True), "new": (7, True)}
    assert {price.model for price, _ in table.on(datetime.date(2025, 1, 1))} == {"m"}
    assert table.changes("openai", "m", "token")
    assert not PriceTable(listed[:1]).changes("openai", "m", "token")
