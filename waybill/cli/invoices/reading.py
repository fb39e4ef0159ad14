"""Reads a vendor's file: which form it has is told by what stands in it, not by its name."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from waybill.cli.invoices import llamacloud, openai, rows
from waybill.cli.invoices.lines import Lines, invalid, unreadable
from waybill.cli.plain import plain
from waybill.cli.screen import counted
from waybill.runtime.errors import InvalidRequest, NotFound

MOST_BYTES, MOST_LINES = 64 * 1024 * 1024, 100_000
FORMS = (
    "OpenAI's usage or costs (its API's answer, or the dashboard's CSV), LlamaCloud's usage metrics, or a "
    "CSV with entry_id, vendor_reference or day, and quantity, usd or nano_usd"
)


def read(path: Path, vendor: str) -> tuple[str, Lines]:
    """The sha256 of a file, and its lines.

    Args:
        path: The file.
        vendor: Who charges, where a CSV of one's own does not say.

    Raises:
        NotFound: FILE_NOT_FOUND.
        InvalidRequest: INVOICE_UNREADABLE, INVOICE_LINE_INVALID, INVOICE_EMPTY, FILE_UNREADABLE.
    """
    data = _content(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise unreadable(f"{path.name} is no UTF-8 text. It may be {FORMS}.") from None
    found = _of_json(text) if text.lstrip()[:1] in ("{", "[") else _of_csv(text, vendor)
    if not found.vendor:
        raise unreadable("The file does not say who charges. Name the vendor: --vendor openai.")
    if not found.lines:
        verb = "is" if found.left_out == 1 else "are"
        about = f"; {counted(found.left_out, 'line')} {verb} about something else"
        others = about if found.left_out else ""
        raise InvalidRequest(
            "INVOICE_EMPTY",
            f"{plain(path.name)} holds no line about what Waybill buys{others}. Nothing was compared.",
        )
    if len(found.lines) > MOST_LINES:
        raise unreadable(f"The file has over {MOST_LINES:,} lines. Split it.")
    return hashlib.sha256(data).hexdigest(), found


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise unreadable(f"{path.name} is over {MOST_BYTES // 1024**2} MiB. Split it.")
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound("FILE_NOT_FOUND", f"There is no file {path}.") from None
    except OSError as error:
        raise InvalidRequest("FILE_UNREADABLE", f"{path} cannot be read: {error.strerror}.") from None


def _of_json(text: str) -> Lines:
    pages: list[Any] = []
    for value in _values(text):
        pages += value if isinstance(value, list) else [value]
    if not pages or not all(isinstance(page, dict) for page in pages):
        raise unreadable(f"The JSON is of no form that is known: {FORMS}.")
    if all(map(openai.is_page, pages)):
        return openai.of_pages(pages)
    if all(map(llamacloud.is_page, pages)):
        return llamacloud.of_pages(pages)
    raise unreadable(f"The JSON is of no form that is known: {FORMS}.")


def _values(text: str) -> Iterator[Any]:
    """One JSON value, or several one after the other: pages that were appended."""
    decoder, place = json.JSONDecoder(), 0
    while (place := _behind_blanks(text, place)) < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except (json.JSONDecodeError, RecursionError) as error:
            line = getattr(error, "lineno", 1)
            raise invalid(line, "it is no JSON; save the vendor's answer as it is") from None
        yield value


def _behind_blanks(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def _of_csv(text: str, vendor: str) -> Lines:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if twice := sorted(name for name, times in Counter(header).items() if name and times > 1):
            raise unreadable(f"The CSV has two columns {twice[0]}. Leave out the one that does not count.")
        found = list(_rows(reader, header))
    except csv.Error as error:
        raise invalid(reader.line_num, f"it is no CSV ({error})") from None
    columns = {*header}
    if any(columns >= needed for needed in (openai.COST_COLUMNS, openai.USAGE_COLUMNS)):
        return openai.of_rows(found)
    if rows.is_one(columns):
        return rows.of_rows(found, vendor)
    raise unreadable(f"The CSV's columns are of no form that is known: {FORMS}.")


def _rows(reader: Any, header: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    for cells in reader:
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise invalid(reader.line_num, f"it has {len(cells)} cells where the header has {len(header)}")
        yield reader.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=True))
