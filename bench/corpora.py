"""Documents made from a seed: no two alike, so that nothing is found in a cache."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
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
    folder.mkdir(parents=True)
    files = [folder / f"{folder.name}-{number:04}.md" for number in range(documents)]
    for file in files:
        file.write_bytes(_markdown(random.Random(file.name), chunks))
    return Corpus(f"{documents:,} × {chunks} chunks", tuple(files))


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
