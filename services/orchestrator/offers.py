"""What the embedder says of the models that it serves: their space, price and backend."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial

from services.orchestrator.degrading import check_goes_on
from services.orchestrator.modes import Modes
from services.orchestrator.peers import Peers
from waybill.common.v1.backend_pb2 import Mode
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest, EmbedResponse
from waybill.runtime.channel import reading
from waybill.runtime.errors import Deadline, ServiceError, Unavailable, VendorContract
from waybill.runtime.retry import insist
from waybill.vendors.choosing import EMBEDDER

# After so long the embedder is asked again which model it serves, and hardly waited for.
OFFER_SECONDS, ASK_SECONDS = 5.0, 1.0


class Offers:
    """Asks the embedder, and keeps what it said of its own model.

    Args:
        peers: The embedder.
        modes: Which one stands for it.
        local_over_budget: WAYBILL_OVER_BUDGET, in hybrid mode: runs and questions go on without vectors that
            a budget refuses.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        peers: Peers,
        modes: Modes,
        *,
        local_over_budget: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.modes = modes
        self._peers = peers
        self._local_over_budget = local_over_budget
        self._clock = clock
        # By the mode that was asked for: what it said, and until when that is not asked again.
        self._known: dict[Mode, tuple[EmbedResponse, float]] = {}

    async def space(self) -> Space:
        """The space that the embedder serves now."""
        return (await self.current()).space

    async def mode(self) -> Mode:
        """How the embedder's backend is chosen now."""
        return (await self.current()).choice.mode

    async def check_goes_on(self, error: ServiceError) -> None:
        """Raises GoesOnWithout where what the embedder refused so is done without vectors."""
        mode = await self.mode()
        check_goes_on(EMBEDDER, mode, error, local_over_budget=self._local_over_budget)

    async def current(self) -> EmbedResponse:
        """What the embedder says of itself; one that is away is what it was."""
        mode, now = await self.modes.of(EMBEDDER), self._clock()
        offer, ends = self._known.get(mode, (EmbedResponse(), -math.inf))
        known = offer.HasField("space")
        if known and now < ends:
            return offer
        # Only one asks, and others take what is known meanwhile.
        self._known[mode] = offer, now + OFFER_SECONDS
        try:
            await insist(partial(self._ask, mode, ASK_SECONDS if known else None), seconds=ASK_SECONDS)
        except (Unavailable, Deadline):
            if not known:
                raise
        return self._known[mode][0]

    async def request(self, space: Space, texts: Sequence[str] = ()) -> EmbedRequest:
        """A call to embed, in the mode that stands."""
        return EmbedRequest(texts=texts, space=space, mode=await self.modes.of(EMBEDDER))

    async def asked(self, request: EmbedRequest, seconds: float | None = None) -> EmbedResponse:
        """What the embedder says of a model, without a text."""
        offer = EmbedResponse()
        async with reading(self._peers.embedder.Embed(request, timeout=seconds)) as answers:
            async for answer in answers:
                offer = answer
        return offer

    async def _ask(self, mode: Mode, seconds: float | None) -> None:
        offer = await self.asked(EmbedRequest(mode=mode), seconds)
        if not offer.HasField("space"):
            raise VendorContract("SPACE_UNKNOWN", "The embedder named no space. Look at its log.")
        self._known[mode] = offer, self._known[mode][1]
