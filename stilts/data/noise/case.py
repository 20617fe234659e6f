"""Upper and lower case of single characters, by language; and casing as noise."""

import unicodedata
from collections.abc import Callable
from itertools import groupby

from stilts.data.noise.edits import Edit
from stilts.data.noise.places import Places, one_of
from stilts.data.noise.units import NO_WORD, Units

_DOTTED = ("tr", "az")
"""Languages whose i keeps its dot: i-İ and ı-I are the pairs."""

_GEORGIAN = range(0x10D0, 0x1100)
"""Unicode pairs Georgian letters with a titling style that running text does not use: they have no case here."""


def upper(text: str, language: str) -> str:
    return (text.replace("i", "İ") if language in _DOTTED else text).upper()


def lower(text: str, language: str) -> str:
    return (text.replace("İ", "i").replace("I", "ı") if language in _DOTTED else text).lower()


def is_cased(cluster: str) -> bool:
    """Whether a letter has another case."""
    return unicodedata.category(cluster[0]) in ("Lu", "Ll", "Lt") and ord(cluster[0]) not in _GEORGIAN


def casing(units: Units, language: str) -> Places:
    """A word goes to upper case, to lower case, or changes the case of its first letter, whichever of these alter it;
    rate: share of the words with case. Scripts without case have none."""
    runs = (list(run) for word, run in groupby(range(len(units.words)), units.words.__getitem__) if word != NO_WORD)
    words = {run[0]: units.clusters[run[0] : run[-1] + 1] for run in runs}
    cased = [first for first, word in words.items() if any(map(is_cased, word))]
    return Places(cased, lambda first, pick: Edit(first, one_of(_forms(words[first], language), pick)))


def _forms(word: tuple[str, ...], language: str) -> list[tuple[str, ...]]:
    """The word in its other forms; itself where it has none."""
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
