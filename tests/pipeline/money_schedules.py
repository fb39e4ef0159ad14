"""What is sent, broken, killed, limited and cancelled in one schedule: drawn from its seed alone."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from waybill.ledger.v1.budget_pb2 import Budget

PROGRAMS = ("embedder", "parser", "ledger", "orchestrator")
# A refusal charges nothing, and says so: no doubt comes of it.
REFUSALS = {
    "openai": ("O07/1:p=0.3", "O07/0:p=0.3", "O08/12ms:p=0.3", "429:p=0.3"),
    "llamaparse": ("F01:p=0.3", "F02/0:p=0.3", "F02:p=0.3"),
}
# The vendor did the work, or may have: lost and torn replies, silence, outages, errors of its own, credits
# that are told late, never or wrongly, jobs that fail or lag.
FAULTS = {
    "openai": (
        *("O02", "O03", "O04", "O06", "O07/1", "O10", "O11", "O12", "O18", "O19", "O20", "O24", "O27"),
        *("O27/null", "O30", "503:op=batches.get", "O03:op=batches.get", "503:op=files", "O31", "O32"),
        *("O34", "O34/twice", "503:op=batches.create", "503:op=batches.cancel", "503:op=batches.list"),
    ),
    "llamaparse": (
        *("F01", "F03", "F04", "F05", "F06", "F07", "F08", "F09", "F16", "F08:op=files", "F05:op=files"),
        *("F03:op=parse.get", "F09:op=parse.get", "F07:op=parse.list", "F05:op=parse.delete", "F24/2"),
        *("F29", "F30/1", "F31/3", "F31", "F31/wrong", "F36", "F40/3", "F41/2", "F42", "F43"),
    ),
}
# Twice in a row, an answer that makes no sense fails a run: once in a schedule.
ONCE = ("O18", "O19", "O20", "O24", "O34", "O34/twice")
LONGEST_SECONDS = 5.0


@dataclass(frozen=True)
class Sent:
    """A document.

    Attributes:
        pages: That the vendor reads; 0 is plain text, which is read here.
        sections: Each is a chunk.
        batch: It has a day to spare, so its vectors may come at half the price.
        max_nano_usd: Of the run; None: no limit of its own.
    """

    name: str
    pages: int
    sections: int
    batch: bool
    max_nano_usd: int | None


@dataclass(frozen=True)
class Limit:
    """A budget of the tenant that is there from the first moment, and is lifted later."""

    unit: Budget.Unit
    period: Budget.Period
    service: str
    limit: int


@dataclass(frozen=True)
class Schedule:
    """One seed's.

    Attributes:
        faults: By vendor, as its simulator takes them.
        kills: Seconds from the beginning, and the program.
        cancels: Seconds, and which document's run.
        taken_up: The cancelled run is retried.
        lifted_after: Seconds after which no budget binds any more.
    """

    sent: Sequence[Sent]
    faults: Mapping[str, str]
    kills: Sequence[tuple[float, str]]
    limits: Sequence[Limit]
    cancels: Sequence[tuple[float, int]]
    taken_up: bool
    lifted_after: float

    @classmethod
    def of(cls, seed: int) -> Schedule:
        """The schedule of that number; in one out of four no reply is lost."""
        luck = random.Random(f"money {seed}")
        gentle = seed % 4 == 3
        sent = [_sent(luck, number) for number in range(luck.randint(2, 4))]
        kills = [] if gentle else [_kill(luck) for _ in range(luck.choice((0, 1, 1, 2)))]
        cancels = [] if gentle or luck.random() < 0.6 else [(luck.uniform(0, 4), luck.randrange(len(sent)))]
        return cls(
            sent=sent,
            faults={vendor: _faults(luck, vendor, gentle) for vendor in FAULTS},
            kills=kills,
            limits=[_limit(luck) for _ in range(luck.choice((0, 0, 1, 2)))],
            cancels=cancels,
            taken_up=luck.random() < 0.5,
            lifted_after=luck.uniform(1, LONGEST_SECONDS),
        )

    @property
    def loses_replies(self) -> bool:
        """Whether anything may be in doubt at all."""
        refusals = {fault for faults in REFUSALS.values() for fault in faults}
        broken = {fault for faults in self.faults.values() for fault in faults.split(",")}
        return bool(self.kills or self.cancels or broken - refusals)


def _sent(luck: random.Random, number: int) -> Sent:
    # The second is never plain text, the third never at once.
    pages = luck.choice((0, 1, 2, 3)) if number != 1 else luck.randint(1, 3)
    batch = number == 2 or luck.random() < 0.2
    limit = luck.choice((None, None, None, 0, 2_000, 4_000_000, 9_000_000))
    return Sent(f"pump-{number}.{'html' if pages else 'md'}", pages, luck.randint(1, 6), batch, limit)


def _kill(luck: random.Random) -> tuple[float, str]:
    return luck.uniform(0, LONGEST_SECONDS), luck.choice(PROGRAMS)


def _faults(luck: random.Random, vendor: str, gentle: bool) -> str:
    if gentle:
        return luck.choice(REFUSALS[vendor])
    drawn = luck.sample(FAULTS[vendor], luck.randint(1, 3))
    return ",".join(_often(luck, fault) for fault in drawn)


def _often(luck: random.Random, fault: str) -> str:
    if fault in ONCE:
        return f"{fault}:times=1"
    return f"{fault}:p={luck.choice((0.15, 0.3, 0.5))}"


def _limit(luck: random.Random) -> Limit:
    unit, limits = luck.choice(
        (
            (Budget.UNIT_NANO_USD, (0, 3_000, 4_000_000, 12_000_000)),
            (Budget.UNIT_REQUESTS, (0, 1, 3)),
            (Budget.UNIT_BYTES, (0, 500, 3_000)),
        )
    )
    period = luck.choice((Budget.PERIOD_HOUR, Budget.PERIOD_DAY, Budget.PERIOD_MONTH))
    return Limit(unit, period, luck.choice(("", "embedder", "parser")), luck.choice(limits))
