"""Noise on punctuation marks."""

from collections.abc import Sequence

from stilts.data.noise.edits import Edit
from stilts.data.noise.kinds import kind
from stilts.data.noise.places import Places, one_of
from stilts.data.noise.units import NO_WORD, Units, is_digit, is_punctuation

_DIVIDERS = (".,;:!?", "。，、；：！？", "،؛؟.!", "।॥,;!?", "።፣፤፥፡?", "၊။")
"""Marks that end or divide sentences, by script: each may replace another."""

_OTHERS = {mark: marks.replace(mark, "") for marks in reversed(_DIVIDERS) for mark in marks}

_SYMBOLS = frozenset("#%&*@/\\§¶‰†‡{}")
"""Symbols that are punctuation to Unicode but not to a reader; braces mark the mention in Mewsli-X's queries."""


@kind
def punctuation(units: Units, language: str) -> Places:
    """Drop a mark, double it or, if it divides sentences, replace it by another of its script, all equally likely.
    The rate is a share of the marks.

    A token without a letter or a digit loses no mark, because it could vanish. A mark between two digits belongs to
    the number and stays. A text without marks (Thai has hardly any) stays as it is.
    """
    marks = [i for i, cluster in enumerate(units.clusters) if _is_mark(cluster) and not _divides(units, i)]
    return Places(marks, lambda mark, pick: Edit(mark, (_altered(units, mark, pick),)))


def _altered(units: Units, mark: int, pick: float) -> str:
    """Return what replaces a mark; all ways are equally likely."""
    cluster = units.clusters[mark]
    ways: list[Sequence[str]] = [[cluster + cluster]]
    if cluster in _OTHERS:
        ways.append(_OTHERS[cluster])
    if _has_word(units, mark):
        ways.append([""])
    way, within = divmod(pick * len(ways), 1)
    return one_of(ways[int(way)], within)


def _is_mark(cluster: str) -> bool:
    return is_punctuation(cluster) and cluster[0] not in _SYMBOLS


def _divides(units: Units, mark: int) -> bool:
    """Return whether a mark stands between two digits."""
    around = units.clusters[max(mark - 1, 0) : mark + 2]
    return len(around) == 3 and is_digit(around[0]) and is_digit(around[2]) and mark + 1 not in units.ends


def _has_word(units: Units, mark: int) -> bool:
    """Return whether the token around a mark has a letter or a digit."""
    token = next(n for n, end in enumerate(units.ends) if mark < end)
    start = units.ends[token - 1] if token else 0
    return any(word != NO_WORD for word in units.words[start : units.ends[token]])
