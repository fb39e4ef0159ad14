"""CommonMark's block structure by markdown-it-py: blocks with offsets, and titles without markup.

Two rules are ours. A table's rows make no tokens, because a long table would take gigabytes. A block of
`$$` holds no heading; the plugin's rule looks for its end again from every line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference
from markdown_it.rules_block import StateBlock, table
from markdown_it.token import Token

Labels = dict[str, dict[str, str]]
# A slice is parsed at a time: tokens of a whole document would take a hundred times its size.
SLICE_CHARS = 256 * 1024
CONTAINERS = frozenset(("bullet_list_open", "ordered_list_open", "blockquote_open", "list_item_open"))
_DEFINITION = re.compile(r"^ {0,3}\[([^\[\]\\^\n][^\[\]\\\n]{0,200})\]:[ \t]*\S", re.MULTILINE)
_MARKUP = re.compile(r"[\\`*_\[\]<>&!~{]")
_ATX = re.compile(r" {0,3}#{1,6}[ \t]")
_ATTRIBUTES = re.compile(r"\s*\{:?\s*(?:[#.][\w:.-]+|[\w-]+=\S+|-)(?:\s+(?:[#.][\w:.-]+|[\w-]+=\S+))*\s*\}$")
_NOTE = re.compile(r"\[\^[^\]]*\]")
# Any other name is none of HTML's: "Vec<T>".
_TAG = re.compile(
    r"</?(?:a|abbr|b|big|br|center|cite|code|del|div|em|font|hr|i|img|ins|kbd|mark|p|picture|q|s|samp|small"
    r"|source|span|strike|strong|sub|sup|tt|u|var|wbr)\b|<!--|<[?!]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A block at the top of a document, or one inside a container.

    Attributes:
        token: What it begins with.
        start: Of its first line; characters of the document.
        end: Behind its last line.
        depth: How many containers it is in.
        content: Of a heading: its inline content.
    """

    token: Token
    start: int
    end: int
    depth: int
    content: str = ""


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if not table(state, start, end, True):
        return False
    if silent:
        return True
    # As the rule that this one stands for does.
    others = state.md.block.ruler.getRules("blockquote")
    line = start + 2
    while (
        line < end
        and not state.isEmpty(line)
        and state.sCount[line] >= state.blkIndent
        and not state.is_code_block(line)
        and not any(rule(state, line, end, True) for rule in others)
    ):
        line += 1
    _push(state, "table", start, line)
    return True


def _math(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    begun = state.bMarks[start] + state.tShift[start]
    if not state.src.startswith("$$", begun) or state.is_code_block(start):
        return False
    # From a line behind one that saw no end, none is to be seen either, up to where that one looked.
    unclosed: dict[int, range] = state.env.setdefault("unclosed", {})
    if start in unclosed.get(end, range(0)):
        return False
    if state.src[begun + 2 : state.eMarks[start]].rstrip().endswith("$$"):
        last = start
    else:
        lines = range(start + 1, end)
        alone = _line(state, start).strip() == "$$"
        last = next((line for line in lines if _ends_math(state, line, alone=alone)), end)
    if last == end or not _line(state, last).rstrip().endswith("$$"):
        unclosed[end] = range(start, last)
        return False
    if not silent:
        _push(state, "math", start, last + 1)
    return True


def _ends_math(state: StateBlock, line: int, *, alone: bool) -> bool:
    """Whether math ends with a line, or a heading shows that there was none.

    What looks like a heading behind a blank line is one, unless math began with `$$` on a line of its own.
    """
    text = _line(state, line)
    heads = not alone and state.isEmpty(line - 1) and _ATX.match(text)
    return text.rstrip().endswith("$$") or bool(heads)


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] : state.eMarks[line]]


def _push(state: StateBlock, kind: str, start: int, end: int) -> None:
    state.push(kind, "", 0).map = [start, end]
    state.line = end


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("strikethrough").disable("reference")
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    parser.enable("table")
    parser.block.ruler.before("fence", "math", _math, {"alt": ["paragraph", "blockquote", "list"]})
    return parser


_PARSER = _parser()


def blocks(text: str, start: int = 0, slice_chars: int = SLICE_CHARS) -> Iterator[list[Stretch]]:
    """For each block at the top, from `start` on: itself, then what is inside it, in order.

    A list or quotation that is longer than a slice comes as several.
    """
    size = slice_chars
    while start < len(text):
        end = text.find("\n", start + size) + 1 or len(text)
        tokens, marks = _parsed(text[start:end])
        kept, after = len(tokens), end - start
        if kept and end < len(text):
            kept, after = _whole(tokens, marks)
        yield from _stretches(tokens[:kept], [start + min(mark, after) for mark in marks])
        start, size = start + after, slice_chars if after else 2 * size


def _parsed(source: str) -> tuple[list[Token], list[int]]:
    """Tokens, and where each line begins."""
    tokens: list[Token] = []
    state = StateBlock(source, _PARSER, {}, tokens)
    marks = [*state.bMarks[:-1], len(source)]
    _PARSER.block.tokenize(state, state.line, state.lineMax)
    return tokens, marks


def _whole(tokens: Sequence[Token], marks: Sequence[int]) -> tuple[int, int]:
    """How many tokens stand before the last block, which may go on in the next slice, and where it begins.

    A container that is alone gives up its last child instead: what follows is a container again.
    """
    for level in (0, 1):
        opened = [at for at, token in enumerate(tokens) if token.level == level and token.nesting >= 0]
        if len(opened) > 1:
            return opened[-1], marks[(tokens[opened[-1]].map or [0])[0]]
        if tokens[0].type not in CONTAINERS:
            break
    return 0, 0


def _stretches(tokens: Sequence[Token], marks: Sequence[int]) -> Iterator[list[Stretch]]:
    held: list[Stretch] = []
    for at, token in enumerate(tokens):
        if token.nesting < 0 or token.type == "inline" or token.map is None:
            continue
        if token.level == 0 and held:
            yield held
            held = []
        content = tokens[at + 1].content if token.type == "heading_open" else ""
        first, last = token.map
        held.append(Stretch(token, marks[first], marks[last], token.level, content))
    if held:
        yield held


def definitions(text: str) -> Labels:
    """The labels that links are defined by: `title` needs to know them."""
    labels = {normalizeReference(found[1]) for found in _DEFINITION.finditer(text)}
    return {label: {"href": "", "title": ""} for label in labels}


def title(content: str, labels: Labels) -> str:
    """A heading's text without markup."""
    content = _NOTE.sub("", _ATTRIBUTES.sub("", content))
    if _MARKUP.search(content):
        tokens: list[Token] = []
        _PARSER.inline.parse(content, _PARSER, {"references": labels}, tokens)
        content = "".join(map(_shown, tokens))
    return " ".join(content.split())


def _shown(token: Token) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return " "
    if token.type == "html_inline" and _TAG.match(token.content):
        return ""
    return token.content


title("*warms* [up](the) `parser` &amp; <b>its</b> tables", {})
