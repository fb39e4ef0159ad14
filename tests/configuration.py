"""The tables of docs/configuration.md, from the settings that are declared: `make configuration`."""

from __future__ import annotations

from collections.abc import Iterator

from waybill.runtime.places import ROOT
from waybill.runtime.settings import Setting
from waybill.settings import SETTINGS

PAGE = ROOT / "docs" / "configuration.md"


def page() -> str:
    """The whole page: what stands above its first table by hand, and the tables."""
    groups = dict.fromkeys(one.group for one in SETTINGS.values())
    introduction = PAGE.read_text().split("\n## ")[0]
    return introduction + "".join(_section(group) for group in groups)


def _section(group: str) -> str:
    rows = (_row(one) for one in SETTINGS.values() if one.group == group)
    return f"\n## {group}\n\n| variable | unless set | what it does |\n|---|---|---|\n{''.join(rows)}"


def _row(one: Setting) -> str:
    default = f"`{one.default}`" if one.default else ""
    unless_set = "; ".join(filter(None, (one.otherwise, default))) or "—"
    meaning = " ".join((one.meaning, *_bounds(one))).replace("|", "\\|")
    return f"| `{one.name}` | {unless_set} | {meaning} |\n"


def _bounds(one: Setting) -> Iterator[str]:
    if one.choices:
        yield f"One of {', '.join(f'`{choice}`' for choice in one.choices)}."
    if one.least is not None and one.most is not None:
        yield f"From {one.least:,} to {one.most:,}."
    elif one.least is not None:
        yield f"At least {one.least:,}."
    if one.secret:
        yield "Masked wherever it is shown."


if __name__ == "__main__":
    PAGE.write_text(page())
