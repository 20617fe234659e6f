"""Optical character recognition errors: a character is taken for another that looks like it."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from stilts.data.noise import hangul
from stilts.data.noise.edits import Edit
from stilts.data.noise.kinds import kind
from stilts.data.noise.lookalikes import ALIKE, PAIRS, SPLITS
from stilts.data.noise.places import Places, one_of
from stilts.data.noise.units import NO_WORD, Units

_ACCENTED = ("LATIN", "GREEK", "CYRILLIC")
"""Scripts whose letters may lose their accents: é is read as e, й as и."""


@kind
def ocr(units: Units, language: str) -> Places:
    """Replace a letter or a digit by a look-alike, remove its accent, or read two letters as one (rn as m). The rate is
    a share of the characters, or pairs of them, that have a look-alike (see `lookalikes.py`)."""
    pairs = dict(_pairs(units))
    seconds = {first + 1 for first in pairs}
    readable = [
        i
        for i, cluster in enumerate(units.clusters)
        if i in pairs or (i not in seconds and units.words[i] != NO_WORD and _readings(cluster))
    ]

    def edit(first: int, pick: float) -> Edit:
        if first in pairs:
            return Edit(first, (pairs[first], ""), tied=True)
        return Edit(first, (one_of(_readings(units.clusters[first]), pick),))

    return Places(readable, edit)


def _pairs(units: Units) -> Iterator[tuple[int, str]]:
    """Yield the pairs of letters in a word that are read as one, from left to right and without overlaps."""
    until = 0
    for i, both in enumerate(zip(units.clusters, units.clusters[1:], strict=False)):
        whole = PAIRS.get("".join(both))
        if whole and i >= until and units.words[i] == units.words[i + 1]:
            yield i, whole
            until = i + 2


@lru_cache(maxsize=1 << 16)
def _readings(cluster: str) -> tuple[str, ...]:
    """Return what a cluster may be taken for."""
    if hangul.is_syllable(cluster):
        return tuple(hangul.variants(cluster, ALIKE))
    letter, marks = cluster[0], cluster[1:]
    bare = unicodedata.normalize("NFD", letter)[0]
    lost = [bare + marks] if bare != letter and unicodedata.name(letter, "").startswith(_ACCENTED) else []
    split = [SPLITS[cluster]] if cluster in SPLITS else []
    return (*(other + marks for other in ALIKE.get(letter, "")), *lost, *split)
