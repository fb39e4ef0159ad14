"""What a round does, drawn from its seed and number alone, so that it can be done again."""

from __future__ import annotations

import hashlib
import io
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from reportlab.pdfgen.canvas import Canvas

from tests.pipeline.workbench import POINTS
from tests.soak.replicas import NAMES

PROGRAMS = ("orchestrator", "storage", "parser", "embedder", "ledger", *NAMES)
POSTGRES = "postgres"
STEPS = ("store", "parse", "chunk", "embed", "publish")
SENTENCES = 10
ROLLING_SHARE = 0.25
MARK = re.compile(r"mark\w+")
# Commits come many to a document.
MOST_COMMITS, MOST_HITS = 30, 3


class What(StrEnum):
    """What is done to a document, or to a program."""

    SEND = "send"
    CANCEL = "cancel"
    DELETE = "delete"
    KILL = "kill"
    RESTART = "restart"


@dataclass(frozen=True)
class Document:
    """A document whose every sentence can be told from any other.

    Attributes:
        key: Its name; the suffix says what it is.
        body: What its sentences name: another document has the same content when this is the same.
        revisions: One for each section.
    """

    key: str
    body: str
    revisions: tuple[int, ...]

    def edited(self, section: int) -> Document:
        """The same with one section rewritten."""
        revisions = list(self.revisions)
        revisions[section] += 1
        return replace(self, revisions=tuple(revisions))

    @property
    def marks(self) -> list[str]:
        """One word of each sentence, in order; they stand nowhere else."""
        return [mark for section in self._sections() for mark in section]

    @property
    def content(self) -> bytes:
        """The file."""
        return self._pdf() if self.key.endswith(".pdf") else self._markdown()

    @property
    def sha256(self) -> str:
        """Of the file, hex."""
        return hashlib.sha256(self.content).hexdigest()

    def _sections(self) -> list[list[str]]:
        return [
            [f"mark{self.body}s{number}r{revision}n{sentence}" for sentence in range(SENTENCES)]
            for number, revision in enumerate(self.revisions)
        ]

    def _markdown(self) -> bytes:
        parts = (
            f"# Valve {number}\n\n" + " ".join(f"Turn {mark} slowly to the left at noon." for mark in marks)
            for number, marks in enumerate(self._sections())
        )
        return "\n\n".join(parts).encode()

    def _pdf(self) -> bytes:
        out = io.BytesIO()
        canvas = Canvas(out, invariant=1)
        for marks in self._sections():
            for line, mark in enumerate(marks):
                canvas.drawString(72, 720 - 20 * line, f"Turn {mark} slowly to the left.")
            canvas.showPage()
        canvas.save()
        return out.getvalue()


@dataclass(frozen=True)
class Deed:
    """One thing done while faults are armed.

    Attributes:
        what: The kind.
        document: What is sent, cancelled or deleted.
        at: The step to wait for before a cancel, or the program to kill or to restart.
        replica: Whether the second orchestrator is asked.
    """

    what: What
    document: Document | None = None
    at: str = ""
    replica: bool = False


@dataclass(frozen=True)
class Plan:
    """A round.

    Attributes:
        before: Documents that are READY before anything breaks.
        faults: (point, action) to arm.
        deeds: Done in order.
    """

    name: str
    before: Sequence[Document]
    faults: Sequence[tuple[str, str]]
    deeds: Sequence[Deed]

    @classmethod
    def of(cls, seed: int, number: int) -> Self:
        """The round of that number."""
        dice = random.Random(f"{seed}/{number}")
        name = f"{seed}x{number}"
        before = [_document(dice, name, f"old{n}") for n in range(3)]
        faults = dict(_fault(dice) for _ in range(dice.choice((1, 1, 2))))
        deeds = list(_deeds(dice, name, before))
        dice.shuffle(deeds)
        kills = dice.choices((0, 1, 2), (6, 3, 1))[0]
        # Three deaths over one document would rightly make it poison.
        doomed = {point.partition(".")[0] for point, action in faults.items() if "kill" in action}
        killed = dice.sample([one for one in (*PROGRAMS, POSTGRES) if one not in doomed], kills)
        # One program after the other, as an upgrade does it.
        restarted = dice.sample(PROGRAMS, len(PROGRAMS)) if dice.random() < ROLLING_SHARE else []
        for what, programs in ((What.KILL, killed), (What.RESTART, restarted)):
            for program in programs:
                deeds.insert(dice.randrange(len(deeds) + 1), Deed(what, at=program))
        return cls(name, before, list(faults.items()), deeds)

    def __str__(self) -> str:
        deeds = (f"{deed.what} {deed.document.key if deed.document else deed.at}" for deed in self.deeds)
        faults = (f"{point}: {action}" for point, action in self.faults)
        return f"{'; '.join(faults)} | {', '.join(deeds)}"


def _document(dice: random.Random, name: str, body: str) -> Document:
    suffix = dice.choices((".md", ".pdf"), (4, 1))[0]
    return Document(f"{body}{suffix}", f"{name}{body}", (1,) * dice.randint(1, 3))


def _fault(dice: random.Random) -> tuple[str, str]:
    point = dice.choice(POINTS)
    action = dice.choice(("kill", "kill", "fail", f"delay {dice.uniform(0.1, 0.8):.1f}"))
    hits = MOST_COMMITS if "commit" in point else MOST_HITS
    return point, f"{action} after {dice.randrange(hits)}"


def _deeds(dice: random.Random, name: str, before: Sequence[Document]) -> Iterator[Deed]:
    """New documents, a twin of one, an edit, one sent again unchanged, a deletion, a cancel."""
    edited, same, deleted = before
    fresh = [_document(dice, name, f"new{n}") for n in range(dice.randint(1, 3))]
    for document in fresh:
        yield Deed(What.SEND, document, replica=_coin(dice))
    if _coin(dice):
        yield Deed(What.SEND, replace(fresh[0], key=f"twin-{fresh[0].key}"), replica=_coin(dice))
    yield Deed(What.SEND, edited.edited(dice.randrange(len(edited.revisions))), replica=_coin(dice))
    yield Deed(What.SEND, same, replica=_coin(dice))
    if dice.random() < 0.7:
        yield Deed(What.DELETE, deleted)
    if dice.random() < 0.6:
        yield Deed(What.CANCEL, _document(dice, name, "dropped"), dice.choice(STEPS), _coin(dice))


def _coin(dice: random.Random) -> bool:
    return dice.random() < 0.5
