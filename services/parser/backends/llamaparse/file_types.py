"""Types of file that LlamaParse takes, and the name under which one is sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import get_args

from llama_cloud.types.llama_parse_supported_file_extensions import LlamaParseSupportedFileExtensions

from services.parser.backends.counting import UNREAD
from services.parser.documents.formats import CODE, FORMATS, promised

_TAKEN = frozenset(get_args(LlamaParseSupportedFileExtensions))
_AS_TEXT = ".txt"


def formats() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """As in the port's Capabilities: ours that the vendor takes, text of any kind, and images."""
    found = {}
    for each in FORMATS:
        suffixes = tuple(suffix for suffix in each.suffixes if each.is_text or suffix in _TAKEN)
        if suffixes:
            found[each.name] = (each.label, suffixes)
    return {**found, "image": ("image", tuple(UNREAD))}


def sent_name(filename: str) -> str:
    """What the vendor is told: the type alone, which is all that it needs of a name.

    Text of a type that it does not know is sent as plain text, which it takes (facts: LlamaParse, 4); so is
    source code, whose endings it gives other meanings.
    """
    suffix = PurePosixPath(filename.replace("\\", "/")).suffix.lower()
    format_ = promised(filename)
    known = suffix in _TAKEN and format_ is not CODE
    return f"document{suffix if known or (format_ and not format_.is_text) else _AS_TEXT}"
