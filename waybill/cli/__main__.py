"""Starts the command `waybill`, and says what to install where a part of it is missing."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> None:
    """Entry point."""
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
