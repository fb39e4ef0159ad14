"""What one seed of the outages is: which documents, which vendors go away, when, how, and how long."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from waybill.vendors.registry import LLAMAPARSE, OPENAI

PROGRAMS = ("orchestrator", "parser", "embedder")
FEWEST, MOST = 3, 4


class Manner(StrEnum):
    """How a vendor goes away."""

    DEAD = "dead"
    OVERLOADED = "503"
    KEY_REFUSED = "key refused"
    ACCOUNT_REFUSED = "account refused"
    RESET = "reset after the work"
    HALF = "half a reply"


class Until(StrEnum):
    """When it comes back."""

    ENDED = "once all runs have ended"
    SOON = "while runs are under way"
    TWICE = "and goes away again in the heal"


class Healer(StrEnum):
    """Who takes up what is degraded."""

    ITSELF = "itself"
    COMMAND = "waybill heal"
    EARLY = "waybill heal, too early"


# As the simulators take them, by vendor. The other manners are a switch of their own.
FAULTS: Mapping[str, Mapping[Manner, str]] = {
    OPENAI.name: {
        Manner.OVERLOADED: "503:op=*",
        Manner.ACCOUNT_REFUSED: "O09",
        Manner.RESET: "O03",
        Manner.HALF: "O04",
    },
    LLAMAPARSE.name: {
        Manner.OVERLOADED: "503:op=*",
        Manner.ACCOUNT_REFUSED: "F34",
        Manner.RESET: "F08:op=*",
        Manner.HALF: "F09:op=*",
    },
}
# The vendor did the work, or may have, and nobody hears of it. A 503 does not say that nothing was done.
LOSE_REPLIES = (Manner.DEAD, Manner.OVERLOADED, Manner.RESET, Manner.HALF)


@dataclass(frozen=True)
class Moment:
    """When they go away: at a vendor's request of a kind, or at a fault point of ours.

    Attributes:
        vendor: Whose request; empty: ours.
        place: The operation, or the point; empty: before the first document is sent.
        count: So many requests, or hits that pass the point first.
    """

    vendor: str = ""
    place: str = ""
    count: int = 0


BEFORE = Moment()
OPERATIONS = (
    *((LLAMAPARSE.name, operation) for operation in ("files.create", "parse.create", "parse.get")),
    (OPENAI.name, "embeddings"),
)
POINTS = (
    "orchestrator.step.chunk.start",
    "orchestrator.step.embed.start",
    "orchestrator.step.publish.start",
    "storage.publish.inside",
    "parser.call.parse.before",
    "parser.commit.after",
    "embedder.call.embed.before",
    "embedder.call.embed.after",
)


@dataclass(frozen=True)
class Outage:
    """One seed's.

    Attributes:
        documents: Names of some of `outage_documents`.
        vendors: That go away, in one moment.
        seconds: That pass until they are back, where that is not when all runs have ended.
        killed: The program that gets kill -9; empty: none.
        killed_in_heal: It gets it in the heal, and not as the vendors go.
        storage_seconds: Storage's vendor goes with them and stays away so long; 0: it stays.
    """

    documents: Sequence[str]
    vendors: Sequence[str]
    manner: Manner
    moment: Moment
    until: Until
    seconds: float
    healer: Healer
    killed: str
    killed_in_heal: bool
    storage_seconds: float

    @classmethod
    def of(cls, seed: int, documents: Sequence[str]) -> Self:
        """The outage of that number, over some of these documents."""
        luck = random.Random(f"outage {seed}")
        vendors = [[LLAMAPARSE.name], [OPENAI.name], [LLAMAPARSE.name, OPENAI.name]][luck.randrange(3)]
        manner = luck.choice(list(Manner))
        until = luck.choice((Until.ENDED, Until.ENDED, Until.SOON, Until.TWICE))
        return cls(
            documents=luck.sample(documents, luck.randint(FEWEST, MOST)),
            vendors=vendors,
            manner=manner,
            moment=_moment(luck, vendors),
            until=until,
            seconds=luck.uniform(0.2, 3.0),
            healer=luck.choice((Healer.ITSELF, Healer.ITSELF, Healer.COMMAND, Healer.EARLY)),
            killed=luck.choice(("", *PROGRAMS)),
            killed_in_heal=luck.random() < 0.5,
            storage_seconds=luck.choice((0.0, 0.0, 0.0, luck.uniform(0.3, 3.0))),
        )

    @property
    def loses_replies(self) -> bool:
        """Whether something may be bought, and nobody hears of it."""
        return bool(self.killed) or self.manner in LOSE_REPLIES

    @property
    def searches(self) -> bool:
        """Whether a question asked meanwhile finds the embedder's vendor away, and surely costs nothing."""
        return OPENAI.name in self.vendors and self.manner not in (
            Manner.OVERLOADED,
            Manner.RESET,
            Manner.HALF,
        )

    def __str__(self) -> str:
        at = f"{self.moment.vendor} {self.moment.place} {self.moment.count}".strip() or "before all"
        storage = f", storage for {self.storage_seconds:.1f} s" * bool(self.storage_seconds)
        killed = f"; {self.killed} killed {'in the heal' if self.killed_in_heal else 'then'}" * bool(
            self.killed
        )
        return (
            f"{' + '.join(self.vendors)} {self.manner} at {at}{storage}{killed}; back {self.until} "
            f"({self.seconds:.1f} s); healer: {self.healer}; {', '.join(self.documents)}"
        )


def _moment(luck: random.Random, vendors: Sequence[str]) -> Moment:
    kind = luck.randrange(6)
    if kind == 0:
        return BEFORE
    if kind < 4:
        vendor, operation = luck.choice([one for one in OPERATIONS if one[0] in vendors])
        return Moment(vendor, operation, luck.randint(1, 4))
    return Moment("", luck.choice(POINTS), luck.randint(0, 3))
