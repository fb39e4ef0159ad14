"""Where jobs stand, many in one request: the account's rate allows few."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from services.parser.backends.llamaparse.answers import VendorJob
from waybill.runtime.errors import ServiceError

# In one list.
MOST = 100
# Between two looks at a job: at first, and at most.
FIRST_SECONDS, GROWTH, LONGEST_SECONDS = 1.0, 1.6, 15.0
Listing = Callable[[Callable[[], Sequence[str]]], Awaitable[Mapping[str, VendorJob]]]


class Looks:
    """Asks for jobs.

    Whoever comes first asks for all that came until its request is sent; the others hear of it.

    Args:
        listed: Asks for the jobs that a function names, which is called as the request is sent.
        leisure: Waits until a look takes the turn of nothing else, but not for long.
    """

    def __init__(self, listed: Listing, leisure: Callable[[], Awaitable[None]]) -> None:
        self._listed = listed
        self._leisure = leisure
        self._wanted: dict[str, asyncio.Future[VendorJob | None]] = {}
        self._asking = asyncio.Lock()
        self._looks: dict[str, int] = {}

    async def at(self, job_id: str) -> VendorJob | None:
        """A job; None where the vendor lists none of this id. Raises what the request raises."""
        answer = self._wanted.get(job_id)
        if answer is None:
            answer = self._wanted[job_id] = asyncio.get_running_loop().create_future()
        async with self._asking:
            while not answer.done():
                await self._ask()
        return answer.result()

    def pause(self, job_id: str) -> float:
        """Seconds until the next look at a job that goes on, longer each time."""
        looks = self._looks[job_id] = self._looks.pop(job_id, -1) + 1
        if len(self._looks) > 100 * MOST:
            del self._looks[next(iter(self._looks))]
        return min(FIRST_SECONDS * GROWTH ** min(looks, 20), LONGEST_SECONDS)

    async def _ask(self) -> None:
        asked: dict[str, asyncio.Future[VendorJob | None]] = {}

        def taken() -> Sequence[str]:
            # A repeat of the request asks for the same, and for who came since.
            for job_id in [*self._wanted][: MOST - len(asked)]:
                asked[job_id] = self._wanted.pop(job_id)
            return list(asked)

        await self._leisure()
        try:
            found = await self._listed(taken)
        except ServiceError as error:
            if not asked:
                taken()  # refused before it was sent: by the breaker, say
            for answer in asked.values():
                answer.set_exception(error)
                answer.exception()  # heard, even if nobody waits any more
        except BaseException:
            # This one is stopped; the next one asks.
            self._wanted = {**asked, **self._wanted}
            raise
        else:
            for job_id, answer in asked.items():
                answer.set_result(found.get(job_id))
