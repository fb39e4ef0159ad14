"""Starts the command `waybill`, and says what to install where a part of it is missing."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from waybill.settings import unknown

_USAGE = 2  # `exits.Exit` cannot be imported where parts are missing


def main() -> None:
    """Entry point. A variable of ours that nothing reads is an error, not silence."""
    if faults := list(unknown(os.environ)):
        sys.stderr.write("\n".join((*(f"error: {fault}" for fault in faults), "next: rename or unset it\n")))
        sys.exit(_USAGE)
    try:
        from waybill.cli.main import main as command
    except ModuleNotFoundError as error:
        _leave(error, "'waybill[cli]', or 'waybill[stack]' to run the services here")
    try:
        command()
    except ModuleNotFoundError as error:
        _leave(error, "'waybill[stack]'")


def _leave(error: ModuleNotFoundError, wanted: str) -> NoReturn:
    if (error.name or "waybill").startswith(("waybill", "services")):
        raise error
    sys.exit(f"error: this command needs {error.name}, which is not installed\nnext: pip install {wanted}")


if __name__ == "__main__":
    main()
