"""Typing errors: the key next to the right one."""

from functools import lru_cache

from stilts.data.noise import hangul
from stilts.data.noise.case import is_cased, lower, upper
from stilts.data.noise.edits import Edit
from stilts.data.noise.keyboards import neighbours
from stilts.data.noise.kinds import kind
from stilts.data.noise.places import Places, one_of
from stilts.data.noise.units import Units


@kind
def keyboard(units: Units, language: str) -> Places:
    """Replace a letter by one on a neighbouring key; its combining marks stay. The rate is a share of the letters that
    have neighbours on the language's keyboard (see `keyboards.py`)."""
    typed = [i for i in units.letters if _slips(units.clusters[i], language)]
    return Places(typed, lambda first, pick: Edit(first, (one_of(_slips(units.clusters[first], language), pick),)))


@lru_cache(maxsize=1 << 16)
def _slips(cluster: str, language: str) -> tuple[str, ...]:
    beside = neighbours(language)
    if hangul.is_syllable(cluster):
        return tuple(hangul.variants(cluster, beside))
    letter, marks = cluster[0], cluster[1:]
    small = lower(letter, language)
    others = list(beside.get(small, ""))
    if is_cased(letter) and letter != small:
        # The upper case of ß is two letters, which no key types.
        others = [large for other in others if len(large := upper(other, language)) == 1]
    return tuple(other + marks for other in others)
