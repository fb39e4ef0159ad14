"""What a check found."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended."""

    OK = "OK"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, and the command that mends what it found; empty where nothing is to be done."""

    check: str
    state: State
    detail: str
    mend: str = ""


def why_silent(error: Exception) -> str:
    """Why a host did not answer, in words that say where to look."""
    match error:
        case socket.gaierror():
            return "no such host is known here; look at its spelling, and at this machine's network and DNS"
        case ConnectionRefusedError():
            return "nothing listens there"
        case TimeoutError():
            return "it takes too long; a firewall may drop what is sent"
        case ssl.SSLError():
            return f"its certificate is not taken: {error.reason or type(error).__name__}"
    return type(error).__name__
