"""A question before what cannot be undone."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.text import Text

from waybill.cli.exits import Exit
from waybill.cli.screen import Screen

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
PlanFirst = Annotated[
    bool, typer.Option("--plan", help="Show what it would cost, and ask; then spend no more than that.")
]


def somebody() -> bool:
    """Whether anybody can be asked; standard input may be closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def agree(screen: Screen, question: str, yes: bool, refused: str = "Nothing was deleted.") -> None:
    """Returns where the answer is yes, or nothing had to be asked; else the command ends here.

    Args:
        screen: Where it is asked.
        question: Without its "[y/N]".
        yes: Whether it is answered already.
        refused: What is true after a no.
    """
    if yes:
        return
    screen.err.print(Text(f"{question} [y/N]"), end=" ", soft_wrap=not screen.err.is_terminal)
    answer = sys.stdin.readline() if sys.stdin else ""
    if not somebody():
        screen.note("")  # nobody has ended the line
    if answer.strip().lower() in ("y", "yes"):
        return
    screen.note(f"{refused} With --yes the command does not ask.")
    raise typer.Exit(Exit.REFUSED)
