"""Noise on any script's letters: neighbours swapped, letters left out, letters added."""

from stilts.data.noise.case import lower
from stilts.data.noise.edits import Edit
from stilts.data.noise.places import Places, one_of
from stilts.data.noise.units import Units


def swap(units: Units, language: str) -> Places:
    """Two neighbouring letters of a word change places; rate: share of the letters that have an unlike neighbour."""
    letters = set(units.letters)
    pairs = [
        i
        for i in sorted(letters)
        if i + 1 in letters and units.words[i] == units.words[i + 1] and units.clusters[i] != units.clusters[i + 1]
    ]
    movable = {unit for i in pairs for unit in (i, i + 1)}

    def edit(first: int, pick: float) -> Edit:
        return Edit(first, (units.clusters[first + 1], units.clusters[first]), tied=True)

    return Places(pairs, edit, whole=len(movable) / 2)


def drop(units: Units, language: str) -> Places:
    """A letter is left out; rate: share of the letters but for each word's first, which stays: no word vanishes."""
    inner = [i for i in units.letters if i and units.words[i - 1] == units.words[i]]
    return Places(inner, lambda first, pick: Edit(first, ("",)))


def insert(units: Units, language: str) -> Places:
    """After a letter comes one too many, in lower case, drawn from the text itself, and so of its script and by its
    frequencies; rate: added letters for each letter."""
    letters = units.letters

    def edit(first: int, pick: float) -> Edit:
        added = lower(units.clusters[one_of(letters, pick)], language)
        return Edit(first, (units.clusters[first] + added,))

    return Places(letters, edit)
