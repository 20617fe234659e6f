"""Noise on the letters of any script: adjacent letters swapped, letters dropped, letters inserted."""

from stilts.data.noise.case import lower
from stilts.data.noise.edits import Edit
from stilts.data.noise.kinds import kind
from stilts.data.noise.places import Places, one_of
from stilts.data.noise.units import Units


@kind
def swap(units: Units, language: str) -> Places:
    """Swap two adjacent letters of a word. The rate is a share of the letters that have a different neighbour."""
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


@kind
def drop(units: Units, language: str) -> Places:
    """Drop a letter. The rate is a share of the letters except the first of each word, so that no word vanishes."""
    inner = [i for i in units.letters if i and units.words[i - 1] == units.words[i]]
    return Places(inner, lambda first, pick: Edit(first, ("",)))


@kind
def insert(units: Units, language: str) -> Places:
    """Insert a letter after another. It is drawn from the text itself, and so has its script and frequencies, and is in
    lower case. The rate is the number of inserted letters per letter."""
    letters = units.letters

    def edit(first: int, pick: float) -> Edit:
        added = lower(units.clusters[one_of(letters, pick)], language)
        return Edit(first, (units.clusters[first] + added,))

    return Places(letters, edit)
