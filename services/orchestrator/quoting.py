"""What work would cost, to the nano-dollar: texts are packed, and each request rounded, as a run does it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from waybill.common.v1.cost_pb2 import CostKind
from waybill.embedder.v1.offer_pb2 import EmbeddingOffer
from waybill.ledger.v1.price_pb2 import Price
from waybill.money import ANY_MODEL, cost_nano_usd, price_unknown
from waybill.orchestrator.v1.plan_pb2 import PlanLine
from waybill.packing import packed
from waybill.parser.v1.preview_pb2 import Preview
from waybill.runtime.semconv import LOCAL
from waybill.vendors.llamaparse import VERSIONS
from waybill.vendors.registry import BATCH, LLAMAPARSE

# A vendor's text of a document is not known before it is bought. It may have so many times the tokens of our
# own reading, and so many chunks more, before its run has outrun its plan.
MARGIN, MORE_CHUNKS = 2, 10


class PriceList:
    """The prices of a day.

    Args:
        day: In UTC.
        prices: As the ledger lists them for it.
    """

    def __init__(self, day: datetime.date, prices: Iterable[Price]) -> None:
        self.day = day
        self._prices = {(one.vendor, one.model, one.unit): one.nano_usd_per_million for one in prices}

    def find(self, vendor: str, model: str, unit: str) -> int:
        """Nano-USD of a million units. Raises Precondition PRICE_UNKNOWN, as a hold would."""
        for name in (model, ANY_MODEL):
            if (vendor, name, unit) in self._prices:
                return self._prices[vendor, name, unit]
        raise price_unknown(vendor, model, unit, self.day)

    def sold(self, unit: str) -> Sequence[tuple[str, str]]:
        """Vendor and model of all that vendors sell by a unit, in a stable order."""
        return sorted(
            (vendor, model)
            for vendor, model, sold_by in self._prices
            if sold_by == unit and vendor != LOCAL and model != ANY_MODEL
        )


@dataclass(frozen=True, slots=True)
class Texts:
    """A document's chunks, as far as they decide its price.

    Attributes:
        counts: Tokens of each.
        pending: Whether each has no vector in the space of the configured model.
        ranges: (first, end exclusive) of each embedding step.
        known: They are those that the run will have.
        more_tokens: What an estimate expects beside them: of pages whose text is not known at all.
        chunk_tokens: Most tokens of a chunk.
    """

    counts: Sequence[int]
    pending: Sequence[bool]
    ranges: Sequence[tuple[int, int]]
    known: bool
    more_tokens: int
    chunk_tokens: int


@dataclass(frozen=True, slots=True)
class Parse:
    """A way to parse the document.

    Attributes:
        pages: That are bought.
        kind: Whose money it takes, where it is what is configured.
        text_known: It gives the text that the chunks are of.
    """

    vendor: str
    model: str
    pages: Preview.Count
    text_known: bool
    kind: CostKind = CostKind.COST_KIND_UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Embedding:
    """A way to embed it.

    Attributes:
        batch: By the vendor's batch tier.
        all_new: No chunk has a vector: it is another space than the configured one.
        kind: Whose money it takes, where it is what is configured.
    """

    vendor: str
    model: str
    batch: bool
    all_new: bool
    kind: CostKind = CostKind.COST_KIND_UNSPECIFIED

    @property
    def price_model(self) -> str:
        """As the price table names it."""
        return f"{self.model}{BATCH}" if self.batch else self.model


def lines(
    prices: PriceList, preview: Preview, offer: EmbeddingOffer, texts: Texts, *, batch: bool
) -> list[PlanLine]:
    """The price of each way to do the work, first of the configured one.

    Raises:
        Precondition: PRICE_UNKNOWN, of the configured one.
    """
    ways = [
        (parse, embedding)
        for parse in _parses(prices, preview, texts)
        for embedding in _embeddings(prices, offer, batch)
    ]
    return [
        _line(prices, offer, texts, parse, embedding, configured=not number)
        for number, (parse, embedding) in enumerate(ways)
    ]


def requests(
    counts: Sequence[int], pending: Sequence[bool], ranges: Sequence[tuple[int, int]], offer: EmbeddingOffer
) -> Iterator[int]:
    """Tokens of each request that embeds what is pending, range by range."""
    for start, end in ranges:
        left = [counts[place] for place in range(start, end) if pending[place]]
        yield from (one.tokens for one in packed(left, offer.request_texts, offer.request_tokens))


def gapless(pending: Sequence[bool]) -> list[tuple[int, int]]:
    """The stretches of what is pending: no request of a batch spans what is not."""
    found, place = [], 0
    for waits, same in groupby(pending):
        end = place + sum(1 for _ in same)
        if waits:
            found.append((place, end))
        place = end
    return found


def _parses(prices: PriceList, preview: Preview, texts: Texts) -> Iterator[Parse]:
    known = texts.known
    yield Parse(preview.vendor, preview.model, preview.count, known, preview.cost_kind)
    for vendor, model in prices.sold("page"):
        # What is sold beside a tier, such as layout extraction, parses nothing by itself.
        beside = vendor == LLAMAPARSE.name and model not in VERSIONS
        if not beside and (vendor, model) != (preview.vendor, preview.model):
            count = Preview.Count(exact=True) if model in preview.paid_tiers else preview.vendor_count
            # Text that is its own content is read here with any backend.
            yield Parse(vendor, model, count, known and not preview.vendor_count.most)


def _embeddings(prices: PriceList, offer: EmbeddingOffer, batch: bool) -> Iterator[Embedding]:
    configured = Embedding(offer.vendor, offer.model, batch, False, offer.kind)
    yield configured
    for vendor, name in prices.sold("token"):
        model, is_batch = name.removesuffix(BATCH), name.endswith(BATCH)
        same = (vendor, model) == (configured.vendor, configured.model)
        if not (same and is_batch == batch):
            yield Embedding(vendor, model, is_batch, all_new=not same)


def _line(
    prices: PriceList,
    offer: EmbeddingOffer,
    texts: Texts,
    parse: Parse,
    embedding: Embedding,
    *,
    configured: bool,
) -> PlanLine:
    by_page = prices.find(parse.vendor, parse.model, "page")
    by_token = prices.find(embedding.vendor, embedding.price_model, "token")
    tokens, cost, most = _embedded(prices, offer, texts, parse, embedding)
    return PlanLine(
        parse_vendor=parse.vendor,
        parse_model=parse.model,
        embed_vendor=embedding.vendor,
        embed_model=embedding.model,
        batch=embedding.batch,
        configured=configured,
        exact=(parse.pages.exact or not by_page) and (parse.text_known or not by_token),
        parse_kind=parse.kind,
        embed_kind=embedding.kind,
        pages=parse.pages.expected,
        tokens=tokens,
        parse_nano_usd=cost_nano_usd(by_page, parse.pages.expected),
        embed_nano_usd=cost,
        most_parse_nano_usd=cost_nano_usd(by_page, parse.pages.most),
        most_embed_nano_usd=most,
    )


def _embedded(
    prices: PriceList, offer: EmbeddingOffer, texts: Texts, parse: Parse, embedding: Embedding
) -> tuple[int, int, int]:
    """Tokens, what they cost, and what they may cost at most; all in nano-USD but the tokens."""
    price = prices.find(embedding.vendor, embedding.price_model, "token")
    # A batch that does not end in time is given up, and the rest embedded at once.
    at_once = prices.find(embedding.vendor, embedding.model, "token")
    if not parse.text_known:
        tokens = sum(texts.counts) + texts.more_tokens
        most = MARGIN * tokens + MORE_CHUNKS * texts.chunk_tokens
        return tokens, cost_nano_usd(price, tokens), cost_nano_usd(at_once, most)
    pending = [True] * len(texts.counts) if embedding.all_new else texts.pending
    bought = list(
        requests(texts.counts, pending, gapless(pending) if embedding.batch else texts.ranges, offer)
    )
    cost = sum(cost_nano_usd(price, tokens) for tokens in bought)
    apart = requests(texts.counts, pending, texts.ranges, offer) if embedding.batch else bought
    return sum(bought), cost, sum(cost_nano_usd(at_once, tokens) for tokens in apart)
