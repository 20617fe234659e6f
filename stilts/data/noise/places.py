"""Places: where a kind of noise can change a text, and the draw among them."""

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
    """What one kind of noise can do to one text.

    Attributes:
        units: of each place, the first unit that would change.
        edit: (unit, a number in [0, 1) by which one of several changes is drawn) -> the change there.
        whole: how many changes are a rate of one; every place for itself by default.
    """

    units: Sequence[int]
    edit: Callable[[int, float], Edit]
    whole: float | None = None


def draw(units: Units, places: Places, rate: float, random: Random) -> Edited:
    """Change `rate * whole` places, as expected value: the fraction left over is rounded by chance.

    One stream of numbers decides the order of the places and the change of each, and the rate only how far the order
    is followed: what a lower rate changes, a higher one changes too. Places that cannot be had together (swaps that
    share a letter) are left out, so that very high rates are not reached.
    """
    # Only random() is called: the one method whose numbers Python keeps between versions.
    number, count = random.random, len(places.units)
    remainder = number()
    keys, picks = [number() for _ in range(count)], [number() for _ in range(count)]
    whole = count if places.whole is None else places.whole
    order = sorted(range(count), key=keys.__getitem__)
    edits = (places.edit(places.units[place], picks[place]) for place in order)
    return Edited(units, disjoint(edits, math.floor(rate * whole + remainder)))


def one_of(options: Sequence[T], pick: float) -> T:
    """The option at `pick` in [0, 1)."""
    return options[int(pick * len(options))]
