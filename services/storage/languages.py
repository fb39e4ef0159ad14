"""What language a text is in, as far as stemming needs to know, and a word's stem in it.

The script decides where it can. For Latin letters function words vote: a text with too few of them is
taken for English, the language of most code and tables.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

import snowballstemmer

LATIN = "latin"
# First letter of a script's range, the end exclusive, and the stemmer's language; Latin is voted on.
_SCRIPTS = (
    (0x0041, 0x0250, LATIN),
    (0x1E00, 0x1F00, LATIN),
    (0x0370, 0x0400, "greek"),
    (0x1F00, 0x2000, "greek"),
    (0x0400, 0x0530, "russian"),
    (0x0530, 0x0590, "armenian"),
    (0x0600, 0x0700, "arabic"),
    (0x0900, 0x0980, "hindi"),
    (0x0B80, 0x0C00, "tamil"),
)
_FUNCTION_WORDS = {
    "english": (
        "the of and to in is that it for was with as be by this are or from at which not have what how "
        "who why when where does do can should i you my an if"
    ),
    "german": (
        "der die das und ist nicht ein eine den dem des mit von zu auf für sich auch wird werden sind wie "
        "was wer wo warum wann welche kann muss ich"
    ),
    "french": (
        "le la les des du un une et est dans pour que qui sur avec pas ce cette par sont aux comment quel "
        "quelle pourquoi où quand je peut"
    ),
    "spanish": (
        "el la los las de del un una y es en para que por con no se su como más al lo qué cómo cuál quién "
        "dónde cuándo puede"
    ),
    "italian": (
        "il lo la i gli le di del della un una è in per che con non si come sono alla dei cosa quale chi "
        "dove quando perché può"
    ),
    "portuguese": (
        "o a os as de do da dos das um uma e é em para que por com não se na ao como mais qual quem onde "
        "quando pode"
    ),
    "dutch": (
        "de het een en van is dat op te in voor met zijn niet aan er ook als door bij worden hoe wat wie "
        "waar wanneer waarom kan ik"
    ),
    "swedish": "och att det som en på är av för med den till inte om ett har de kan eller från",
    "danish": "og at det som en på er af for med den til ikke om et har de kan eller fra der",
    "norwegian": "og å det som en på er av for med den til ikke om et har de kan eller fra ikkje",
    "finnish": "ja on ei se että joka ovat tai kun sen voi myös jos mutta ole hän niin kuin sekä",
    "polish": "i w na z do jest nie się że to o jak przez dla od po są oraz lub być",
    "czech": "a v na se je že to s z do o jako pro za by k ale od podle není nebo",
    "hungarian": "a az és hogy nem is egy van ez meg csak vagy mint de ha kell lehet azt",
    "romanian": "și de la în a cu pe nu este un o care din să ce pentru mai sau sunt prin",
    "turkish": "ve bir bu için ile da de olarak daha olan gibi en çok ne ya değil her kadar",
    "catalan": "el la els les de del un una i és en per que amb no es al com més dels",
    "indonesian": "dan yang di untuk dengan dari pada ini itu adalah dalam tidak akan atau ke oleh sebagai",
}
# Fewer votes than this decide nothing.
_ENOUGH_VOTES = 2


def _votes() -> Mapping[str, tuple[str, ...]]:
    votes: dict[str, tuple[str, ...]] = {}
    for language, words in _FUNCTION_WORDS.items():
        for word in words.split():
            votes[word] = (*votes.get(word, ()), language)
    return votes


_VOTES = _votes()
LATIN_LANGUAGES = tuple(_FUNCTION_WORDS)
# Stemmers keep the word at hand in themselves.
_ONE_AT_A_TIME = threading.Lock()


def script_of(word: str) -> str:
    """The script's name as a stemmer's language, `LATIN`, or nothing where there is no stemmer."""
    letter = ord(word[0])
    return next((name for first, end, name in _SCRIPTS if first <= letter < end), "")


def is_function_word(word: str) -> bool:
    """Whether some language uses the word to hold sentences together."""
    return word in _VOTES


def elected(words: Iterable[tuple[str, int]]) -> str:
    """The language that the function words among these counted words vote for, or nothing."""
    ballot: Counter[str] = Counter()
    for word, count in words:
        for language in _VOTES.get(word, ()):
            ballot[language] += count
    (first, most), *_ = [*ballot.most_common(1), ("", 0)]
    return first if most >= _ENOUGH_VOTES else ""


@lru_cache(maxsize=200_000)
def stem(language: str, word: str) -> str:
    """The word's stem, as a term that is no word: of one language, marked as a stem."""
    with _ONE_AT_A_TIME:
        return f"~{language}:{_stemmer(language).stemWord(word)}"


@lru_cache
def _stemmer(language: str) -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer(language)
