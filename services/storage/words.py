"""Text to terms: the one tokenizer of the index and of the question.

A term is a folded word, an identifier as a whole, a pair of letters where a script has no spaces, or a
stem (marked by its language, see languages.py). Every word stands as itself beside what is made of it.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from services.storage import languages
from services.storage.languages import LATIN

# A heading's word counts as often as this.
HEADING_WEIGHT = 2
# A contents page or an index names every subject and says nothing on it: it counts as longer by this.
LISTING_LENGTH = 3
MAX_TERM_CHARS = 64
# Letters below are unspaced: Thai to Tibetan, Myanmar, Khmer, Kana, Han; Hangul has spaces but long words.
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))


def _ranges(kinds: str) -> str:
    """A regular expression's class of the basic plane's spaced characters of these general categories."""
    spaced = re.sub(f"[{_UNSPACED}]", " ", "".join(map(chr, range(0x10000))))
    inside = "".join("x" if unicodedata.category(one)[0] in kinds else " " for one in spaced)
    return "".join(f"\\u{run.start():04x}-\\u{run.end() - 1:04x}" for run in re.finditer("x+", inside))


# `\w` lacks the vowel signs of Indic scripts. Those beyond the basic plane are letters of old scripts.
_LETTER = _ranges("LNM") + "\U00010000-\U0001bfff"
_PIECE = f"[{_LETTER}]+"
TOKEN = re.compile(
    # An address is one identifier up to a space, a bracket, or text of a script without spaces.
    rf"(?:https?|ftp|file)://[^\s<>\"'()\[\]{{}}|\u3000-\u303f{_UNSPACED}]+"
    rf"|[{_LETTER}_]+(?:(?:[-‐‑./@_\\]|::|(?<=[0-9])[,:](?=[0-9]))[{_LETTER}_]+)*(?:\+\+(?![{_LETTER}])|#(?![{_LETTER}]))?"
    rf"|[{_UNSPACED}]+"
)
_PIECES = re.compile(_PIECE)
NO_LETTER_BEFORE, NO_LETTER_AFTER = rf"(?<![{_LETTER}])", rf"(?![{_LETTER}])"
_RUN = re.compile(rf"{_PIECE}|[{_UNSPACED}]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_DIGIT = re.compile(r"\d")
_VERSION = re.compile(r"v(?=\d)")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
# A line of a table of contents or an index: a section's number, a link, or a page's number at the end.
_LISTED = re.compile(
    r"(?:[-*+] *)?\d+\.\d[\d.]* +\S.*|(?:[-*+]|\d+\.)? *\[[^\]]*\]\([^)]*\)"
    r"|[^\W\d].*(?:\. ?\. ?\.|…|[ ,.])[ .…]*\d{1,4}"
)
_FEWEST_LISTED, _LISTED_SHARE = 6, 0.5
# A longer line lists nothing; the expression above would look at it again from each dot.
_MOST_LISTED_CHARS = 300


class Form(NamedTuple):
    """A term that a token stands for, and what may stand in its place.

    Attributes:
        word: Normalized.
        folded: Without accents, or empty where that is the same.
        script: See `languages.script_of`; empty where no stem is made.
        counts: Whether it adds to the text's length; an identifier's whole does not beside its parts.
    """

    word: str
    folded: str = ""
    script: str = ""
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Words:
    """A text's terms, how often each is in it, and how long it counts as."""

    counts: dict[str, int]
    length: int


class Group(NamedTuple):
    """One word of a question: the term itself, and other forms of it."""

    word: str
    others: Sequence[str]


def of_chunk(heading: str, text: str) -> Words:
    """The terms of a passage and of the headings above it."""
    body, title = Counter(_tokens(text)), Counter(_tokens(heading))
    language = _language(body + title) or "english"
    counts: dict[str, int] = {}
    length = sum(_add(counts, body, language, 1)) * (LISTING_LENGTH if is_listing(text) else 1)
    length += sum(_add(counts, title, language, HEADING_WEIGHT))
    return Words(counts, length)


def of_question(question: str) -> list[Group]:
    """The words of a question, stemmed in its language, or in every language where it shows none."""
    tokens = Counter(_tokens(question))
    language = _language(tokens)
    groups: dict[str, Group] = {}
    for token in tokens:
        for form in _forms(token):
            groups.setdefault(form.word, Group(form.word, _others(form, language)))
    return list(groups.values())


def terms(text: str) -> list[str]:
    """The terms of a text as its words stand in it."""
    return [form.word for token in _tokens(text) for form in _forms(token)]


def parts(text: str) -> list[str]:
    """The terms of a text that add to its length: of an identifier its parts, and not the whole."""
    return [form.word for token in _tokens(text) for form in _forms(token) if form.counts]


def runs(text: str) -> list[str]:
    """The stretches of letters and digits in a text, in order."""
    return _RUN.findall(text)


def is_unspaced(run: str) -> bool:
    """Whether a stretch of letters is of a script without spaces."""
    return bool(_IS_UNSPACED.match(run))


def flat(text: str) -> str:
    """A text without case and accents, each character at its place."""
    return text.lower() if text.isascii() else text.translate(_FLAT)


def end_of_word(text: str, start: int) -> int:
    """Where the word that begins here ends; of a script without spaces, two letters on."""
    match = _PIECES.match(text, start)
    return match.end() if match else start + 2


def forms(token: str) -> Sequence[Form]:
    """What a token of a text stands for."""
    return _forms(normal(token))


def is_listing(text: str) -> bool:
    """Whether a text is a table of contents or an index: its lines end in page numbers or are links."""
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    short = (line for line in lines if len(line) <= _MOST_LISTED_CHARS and "|" not in line)
    listed = sum(bool(_LISTED.fullmatch(line)) for line in short)
    return listed >= _FEWEST_LISTED and listed >= _LISTED_SHARE * len(lines)


class _Flat(dict[int, str]):
    """Of each character the one without case and accents, where that is one."""

    def __missing__(self, code: int) -> str:
        lower = unicodedata.normalize("NFKC", chr(code)).casefold()
        plain = _folded(lower) or lower
        self[code] = plain if len(plain) == 1 else chr(code)
        return self[code]


_FLAT = _Flat()


def normal(text: str) -> str:
    """A text in the form whose characters are compared."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text).translate(_INVISIBLE)


def _tokens(text: str) -> list[str]:
    return TOKEN.findall(normal(text))


def _language(tokens: Counter[str]) -> str:
    return languages.elected((token.casefold(), count) for token, count in tokens.items())


def _add(counts: dict[str, int], tokens: Counter[str], language: str, weight: int) -> Iterator[int]:
    for token, count in tokens.items():
        for form in _forms(token):
            terms = [form.word]
            if form.folded:
                terms.append(form.folded)
            if form.script:
                terms.append(languages.stem(language if form.script == LATIN else form.script, form.word))
            for term in terms:
                counts[term] = counts.get(term, 0) + count * weight
            if form.counts:
                yield count
        for letter in token if len(token) > 1 and _IS_UNSPACED.match(token) else "":
            # A question may be one letter: a word of Chinese.
            counts[letter] = counts.get(letter, 0) + count * weight


def _others(form: Form, language: str) -> Sequence[str]:
    folded = [form.folded] if form.folded else []
    if form.script != LATIN:
        return [*folded, *([languages.stem(form.script, form.word)] if form.script else [])]
    spoken = [language] if language else languages.LATIN_LANGUAGES
    return [*folded, *(languages.stem(one, form.word) for one in spoken)]


def _forms(token: str) -> tuple[Form, ...]:
    """What a token stands for. Words come again and again; long tokens do not, and would fill memory."""
    if _IS_UNSPACED.match(token):
        pairs = [token[place : place + 2] for place in range(len(token) - 1)] or [token]
        return tuple(map(Form, pairs))
    return _word_forms(token) if len(token) <= MAX_TERM_CHARS else _spaced_forms(token)


@lru_cache(maxsize=100_000)
def _word_forms(token: str) -> tuple[Form, ...]:
    return _spaced_forms(token)


def _spaced_forms(token: str) -> tuple[Form, ...]:
    """The parts of a token, and itself where it is more than one word."""
    parts = _PIECES.findall(token)
    forms = [_form(part.casefold()) for part in parts]
    humps = [hump for part in parts for hump in _humps(part)]
    forms += [_form(hump.casefold())._replace(counts=False) for hump in humps]
    return tuple(dict.fromkeys(form for form in [*forms, *_wholes(token, parts)] if form.word))


def _form(word: str) -> Form:
    word = word[:MAX_TERM_CHARS]
    script = languages.script_of(word) if len(word) > 2 and not _DIGIT.search(word) else ""
    return Form(sys.intern(word), _folded(word), script)


def _humps(part: str) -> list[str]:
    """The words of a name in camel case."""
    if part.islower() or part.isupper() or part[1:].islower() or not part.isascii():
        return []
    humps = _CAMEL.findall(part)
    return humps if len(humps) > 1 else []


def _wholes(token: str, parts: Sequence[str]) -> list[Form]:
    """An identifier as it stands, and without its hyphens or the commas between its digits."""
    whole = token.strip("_").rstrip("./,;:!?").casefold()
    if not parts or len(whole) > MAX_TERM_CHARS or whole == parts[0].casefold():
        return []
    joined = re.sub("[-‐‑,]", "", whole)
    if joined.isalnum() and (joined.isalpha() or "," in whole):
        return [Form(joined, _folded(joined), counts=False)]
    return [Form(one, counts=False) for one in dict.fromkeys([whole, _VERSION.sub("", whole, count=1)])]


def _folded(word: str) -> str:
    """The word without its accents and points, or nothing where that changes nothing."""
    if word.isascii():
        return ""
    spread = unicodedata.normalize("NFD", word)
    folded = "".join(one for one in spread if not (unicodedata.combining(one) >= 10 and one < "\u0900"))
    folded = unicodedata.normalize("NFC", folded)
    return "" if folded == word else folded
