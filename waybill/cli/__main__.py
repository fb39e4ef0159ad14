"""Starts the command `waybill`, and says what to install where a part of it is missing."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn


def main() -> None:
    """Entry point. A variable of ours that nothing reads, or that says nonsense, is an error, not silence."""
    try:
        _start()
    except KeyboardInterrupt:
        # Modules, and the tree of commands, take a second to load; nothing was begun yet.
        sys.exit(128 + signal.SIGINT)


def _start() -> None:
    from waybill.settings import invalid, unknown  # loads gRPC, and Ctrl-C may come meanwhile

    if faults := list(unknown(os.environ)):
        _leave("SETTING_UNKNOWN", "; ".join(faults), "Rename or unset it; then `waybill config` lists all.")
    if faults := list(invalid(os.environ)):
        _leave("SETTING_INVALID", "; ".join(faults), "Mend or unset it; docs/configuration.md tells each.")
    try:
        from waybill.cli.main import main as command
    except ModuleNotFoundError as error:
        _lacking(error, "'waybill[cli]', or 'waybill[stack]' to run the services here")
    try:
        command()
    except ModuleNotFoundError as error:
        _lacking(error, "'waybill[stack]'")


def _lacking(error: ModuleNotFoundError, wanted: str) -> NoReturn:
    if (error.name or "waybill").startswith(("waybill", "services")):
        raise error
    _leave("NOT_INSTALLED", f"This command needs {error.name}", f"pip install {wanted}")


def _leave(reason: str, sentence: str, step: str) -> NoReturn:
    from waybill.cli.exits import Exit

    sys.stderr.write(f"error: {reason}: {sentence}.\nnext:  {step}\n")
    sys.exit(Exit.USAGE)


if __name__ == "__main__":
    main()
