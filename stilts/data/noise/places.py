"""The places where a kind of noise can change a text, and the random choice among them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from stilts.data.noise.edits import Edit, Edited, disjoint
from stilts.data.noise.units import Units

T = TypeVar("T")


@dataclass(frozen=True)
class Places:
    """The changes that one kind of noise can make to one text.

    Attributes:
        units: of each place, the first unit that would change.
        edit: `edit(unit, pick)` returns the change there; `pick` in [0, 1) selects one of several.
        whole: number of changes at a rate of 1; by default that of the places.
    """

    units: Sequence[int]
    edit: Callable[[int, float], Edit]
    whole: float | None = None


def draw(units: Units, places: Places, rate: float, random: Random) -> Edited:
    """Change `rate * whole` places in expectation: the fractional part is rounded up or down at random.

    The random numbers determine the order of the places and the change at each, and the rate only how many of them are
    used, so that a higher rate makes the changes of a lower one, too. Places that exclude each other (swaps that share
    a letter) are skipped, so that very high rates are not reached.
    """
    # Only random() is called, because its numbers are the same in all versions of Python.
    number, count = random.random, len(places.units)
    remainder = number()
    keys, picks = [number() for _ in range(count)], [number() for _ in range(count)]
    whole = count if places.whole is None else places.whole
    order = sorted(range(count), key=keys.__getitem__)
    edits = (places.edit(places.units[place], picks[place]) for place in order)
    return Edited(units, disjoint(edits, math.floor(rate * whole + remainder)))


def one_of(options: Sequence[T], pick: float) -> T:
    """Return the option that `pick` in [0, 1) selects."""
    return options[int(pick * len(options))]
