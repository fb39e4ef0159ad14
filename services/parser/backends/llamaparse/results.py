"""Pages of a LlamaCloud result → pages of ours; nothing that is missing is made up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.parser.backends.llamaparse.errors import not_an_answer
from services.parser.documents import markdown, text
from services.parser.documents.plain import plain
from services.parser.pages import Artifact, Block, Mark, Page
from waybill.vendors.registry import LLAMAPARSE


@dataclass(frozen=True, slots=True)
class Content:
    """A page as the vendor gave it; None where it failed."""

    number: int
    text: str | None


def of_markdown(answer: Mapping[str, Any]) -> list[Content]:
    """Markdown by page. Raises VendorContract VENDOR_ANSWER_INVALID."""
    return [_content(one, "markdown") for one in _pages(answer, "markdown")]


def of_text(answer: Mapping[str, Any]) -> list[Content]:
    """Text by page, which has no word for a page that failed. Raises as `of_markdown`."""
    return [_content(one, "text") for one in _pages(answer, "text")]


def of_items(items: Mapping[str, Any]) -> list[Content]:
    """Markdown of the items of each page. Raises as `of_markdown`."""
    found = []
    for page in _pages({"items": items}, "items"):
        parts = page.get("items") if isinstance(page, dict) else None
        known = [one.get("md") for one in parts if isinstance(one, dict)] if isinstance(parts, list) else None
        joined = None if known is None else "\n\n".join(one for one in known if isinstance(one, str))
        found.append(_content({**page, "md": joined} if isinstance(page, dict) else page, "md"))
    return found


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a result may be.

    Attributes:
        counted: Pages that the document surely has; 0 where that is not known.
        most: Pages that were asked for at most.
        page_bytes: Of one page's text; what is longer is cut.
        may_be_more: The document may have more pages than `most`.
    """

    counted: int
    most: int
    page_bytes: int
    may_be_more: bool = False


def fill(artifact: Artifact, contents: Iterable[Content], bounds: Bounds, *, derived: bool) -> None:
    """Fills an artifact, each page once and in order. Blocks.

    Args:
        artifact: Emptied first.
        contents: In any order.
        bounds: See Bounds.
        derived: The text has no structure of the vendor's.

    Raises:
        VendorContract: VENDOR_ANSWER_INVALID, of pages that were not asked for.
    """
    artifact.clear()
    known: dict[int, Content] = {}
    for content in contents:
        if content.number > bounds.most:
            raise not_an_answer("has pages that were not asked for")
        # Twice: the one with text, else the first.
        if known.get(content.number, Content(0, None)).text is None:
            known[content.number] = content
    blocks = text.paragraphs if derived else markdown.blocks
    for number in range(1, max(bounds.counted, *known, 0) + 1):
        content = known.get(number, Content(number, None))
        artifact.append(_page(content, blocks, bounds.page_bytes, derived))
    # The vendor does not say whether it stopped there.
    cut = bounds.may_be_more and artifact.pages >= bounds.most
    left_out = (f"what may follow page {bounds.most}",) if cut else ()
    artifact.finish("text" if derived else "markdown", left_out=left_out, engine=LLAMAPARSE.name)


def _page(content: Content, blocks: Callable[[str], Iterator[Block]], most_bytes: int, derived: bool) -> Page:
    if content.text is None:
        return Page(content.number, "").marked(Mark.FAILED)
    whole = content.text.encode(errors="replace")
    kept = "".join(plain([whole[:most_bytes].decode(errors="ignore")]))
    page = Page(content.number, kept, tuple(blocks(kept)))
    page = page.marked(Mark.CUT) if len(whole) > most_bytes else page
    return page.marked(Mark.PLAIN) if derived and kept.strip() else page


def _pages(answer: Mapping[str, Any], name: str) -> list[Any]:
    part = answer.get(name)
    pages = part.get("pages") if isinstance(part, dict) else None
    if not isinstance(pages, list):
        raise not_an_answer(f"has no pages of {name}")
    return pages


def _content(page: Any, name: str) -> Content:
    number = page.get("page_number") if isinstance(page, dict) else None
    if type(number) is not int or number < 1:
        raise not_an_answer("has a page without its number")
    found = page.get(name)
    # Some answers leave `success` out (facts: LlamaParse, 9).
    good = page.get("success", True) is True and isinstance(found, str)
    return Content(number, found if good else None)
