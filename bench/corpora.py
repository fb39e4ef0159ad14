"""Documents made from a seed: no two alike, so that nothing is found in a cache."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

# The commonest words of English: nearly one token each, as in prose.
WORDS = """
the of and to in is that it for was on are as with they at be this from have or by one had not but what
all were when we there can an your which their said if do will each about how up out them then she many
some so these would other into has more her two like him see time could no make than first been its who
now people my made over did down only way find use may water long little very after words called just
where most know get through back much before go good new write our used me man too any day same right look
think also around another came come work three word must because does part even place well such here take
why things help put years different away again off went old number great tell men say small every found
still between name should home big give air line set own under read last never left end along while might
next sound below saw something thought both few those always looked show large often together asked house
world going want school important until form food keep children feet land side without boy once animals
life enough took sometimes four head above kind began almost live page got earth need far hand high year
mother light parts country father let night following picture being study second eyes soon
"""
# Below 512 tokens of cl100k with the heading, and below the 3,000 characters of a page.
SECTION_WORDS = (380, 430)
SENTENCE_WORDS = 12
PARAGRAPH_WORDS = 72
PDF_PAGE_LINES = 45
_WORDS = WORDS.split()


@dataclass(frozen=True)
class Corpus:
    """Documents of one kind and size.

    Attributes:
        name: As it stands in the table.
        files: In the order in which they are sent.
    """

    name: str
    files: tuple[Path, ...]


def markdown_corpus(folder: Path, documents: int, chunks: int) -> Corpus:
    """Markdown documents of so many chunks each."""
    name = f"{documents:,} × {chunks} chunks"
    return _written(folder, name, documents, "md", lambda random: _markdown(random, chunks))


def pdf_corpus(folder: Path, documents: int, pages: int) -> Corpus:
    """PDF documents of so many pages each."""
    return _written(
        folder, f"{documents:,} PDF × {pages} pages", documents, "pdf", lambda random: _pdf(random, pages)
    )


def _written(
    folder: Path, name: str, documents: int, suffix: str, make: Callable[[random.Random], bytes]
) -> Corpus:
    folder.mkdir(parents=True)
    files = []
    for number in range(documents):
        files.append(folder / f"{folder.name}-{number:04}.{suffix}")
        files[-1].write_bytes(make(random.Random(files[-1].name)))
    return Corpus(name, tuple(files))


def _markdown(random: random.Random, chunks: int) -> bytes:
    """A section a page: a chunk ends at a page's end and at a heading, so each section is one chunk."""
    sections = (
        f"## {_sentence(random, 3)}\n\n" + "\n\n".join(_paragraphs(random, random.randint(*SECTION_WORDS)))
        for _ in range(chunks)
    )
    return "\n\f".join(sections).encode()


def _paragraphs(random: random.Random, words: int) -> Iterator[str]:
    for start in range(0, words, PARAGRAPH_WORDS):
        here = min(PARAGRAPH_WORDS, words - start)
        yield " ".join(_sentence(random, SENTENCE_WORDS) + "." for _ in range(-(-here // SENTENCE_WORDS)))


def _sentence(random: random.Random, words: int) -> str:
    return " ".join(random.choices(_WORDS, k=words)).capitalize()


def _pdf(random: random.Random, pages: int) -> bytes:
    from reportlab.pdfgen.canvas import Canvas  # only the development environment has it

    out = BytesIO()
    canvas = Canvas(out, invariant=1)
    for _ in range(pages):
        text = canvas.beginText(60, 780)
        for _ in range(PDF_PAGE_LINES):
            text.textLine(_sentence(random, SENTENCE_WORDS) + ".")
        canvas.drawText(text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()
