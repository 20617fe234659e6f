"""A text as grapheme clusters: what a reader takes for one character, a base letter with its marks."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex

NO_WORD = -1

_CLUSTER = regex.compile(r"\X\p{M}*")
"""A grapheme cluster. Some Burmese vowel signs are clusters to Unicode; here they belong to the preceding letter."""


@dataclass(frozen=True)
class Units:
    """The clusters of a text, or of the tokens of a sentence in order.

    Attributes:
        clusters: the text, split; joined, they are the text.
        words: number of the word that each cluster belongs to; NO_WORD if it is neither a letter nor a digit. A word is
            a maximal run of letters and digits within a token: a whole clause in scripts without spaces.
        ends: number of clusters up to the end of each token; a plain text is one token.
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
        """Indices of the clusters that are letters, not digits: a changed number would have another meaning."""
        return [i for i, cluster in enumerate(self.clusters) if is_letter(cluster)]


@lru_cache(maxsize=1 << 16)
def _category(cluster: str) -> str:
    """Return the major Unicode category of the first character of a cluster, which is its base."""
    return unicodedata.category(cluster[0])[0]


def is_letter(cluster: str) -> bool:
    return _category(cluster) == "L"


def is_digit(cluster: str) -> bool:
    return _category(cluster) == "N"


def is_punctuation(cluster: str) -> bool:
    return _category(cluster) == "P"
