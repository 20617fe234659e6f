"""Upper and lower case of single characters, by language, and casing as noise."""

import unicodedata
from collections.abc import Callable
from itertools import groupby

from stilts.data.noise.edits import Edit
from stilts.data.noise.kinds import kind
from stilts.data.noise.places import Places, one_of
from stilts.data.noise.units import NO_WORD, Units

_DOTTED = ("tr", "az")
"""Languages in which i-İ and ı-I are pairs of cases."""

_GEORGIAN = range(0x10D0, 0x1100)
"""Georgian letters, which have no case here: Unicode pairs them with a titling style that running text does not use."""


def upper(text: str, language: str) -> str:
    return (text.replace("i", "İ") if language in _DOTTED else text).upper()


def lower(text: str, language: str) -> str:
    return (text.replace("İ", "i").replace("I", "ı") if language in _DOTTED else text).lower()


def is_cased(cluster: str) -> bool:
    """Return whether a letter has another case."""
    return unicodedata.category(cluster[0]) in ("Lu", "Ll", "Lt") and ord(cluster[0]) not in _GEORGIAN


@kind
def casing(units: Units, language: str) -> Places:
    """Change a word to upper case or lower case, or change the case of its first letter; only what alters it is drawn.
    The rate is a share of the words that have case. Scripts without case stay as they are."""
    runs = (list(run) for word, run in groupby(range(len(units.words)), units.words.__getitem__) if word != NO_WORD)
    words = {run[0]: units.clusters[run[0] : run[-1] + 1] for run in runs}
    cased = [first for first, word in words.items() if any(map(is_cased, word))]
    return Places(cased, lambda first, pick: Edit(first, one_of(_forms(words[first], language), pick)))


def _forms(word: tuple[str, ...], language: str) -> list[tuple[str, ...]]:
    """Return the other forms of the word, or the word itself if it has none."""
    forms = dict.fromkeys((_each(upper, word, language), _lowered(word, language), _first(word, language)))
    return [form for form in forms if form != word] or [word]


def _each(change: Callable[[str, str], str], word: tuple[str, ...], language: str) -> tuple[str, ...]:
    return tuple(change(cluster, language) if is_cased(cluster) else cluster for cluster in word)


def _lowered(word: tuple[str, ...], language: str) -> tuple[str, ...]:
    *body, last = _each(lower, word, language)
    return (*body, "ς" if body and last == "σ" else last)


def _first(word: tuple[str, ...], language: str) -> tuple[str, ...]:
    first, *rest = word
    other = lower(first, language)
    return (upper(first, language) if other == first else other, *rest) if is_cased(first) else word
