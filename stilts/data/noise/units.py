"""Units: a text as grapheme clusters, what a reader takes for one character: a base letter with its marks."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex

NO_WORD = -1

_CLUSTER = regex.compile(r"\X\p{M}*")
"""Unicode's clusters leave some vowel signs of Burmese alone; they too belong to the letter before them."""


@dataclass(frozen=True)
class Units:
    """The clusters of one text, or of a sentence's tokens one after the other.

    Attributes:
        clusters: the text, cut; joined they give it back.
        words: number of the word that each cluster belongs to, NO_WORD for what is neither letter nor digit. A word
            is a maximal run of letters and digits within one token: a whole clause where a script has no spaces.
        ends: number of clusters up to the end of each token; one for a plain text.
    """

    clusters: tuple[str, ...]
    words: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, tokens: Sequence[str]) -> "Units":
        clusters: list[str] = []
        words: list[int] = []
        ends: list[int] = []
        word = NO_WORD
        for token in tokens:
            inside = False
            for cluster in _CLUSTER.findall(token):
                letter = is_letter(cluster) or is_digit(cluster)
                word += letter and not inside
                clusters.append(cluster)
                words.append(word if letter else NO_WORD)
                inside = letter
            ends.append(len(clusters))
        return cls(tuple(clusters), tuple(words), tuple(ends))

    @property
    def letters(self) -> list[int]:
        """The clusters that are letters. A changed figure would say something else, so that digits are left alone."""
        return [i for i, cluster in enumerate(self.clusters) if is_letter(cluster)]


@lru_cache(maxsize=1 << 16)
def _category(cluster: str) -> str:
    """Unicode's major category of a cluster's first character, which is its base."""
    return unicodedata.category(cluster[0])[0]


def is_letter(cluster: str) -> bool:
    return _category(cluster) == "L"


def is_digit(cluster: str) -> bool:
    return _category(cluster) == "N"


def is_punctuation(cluster: str) -> bool:
    return _category(cluster) == "P"
