"""Verdicts: whether an interval supports a statement about a number, contradicts it, or leaves it undecided.

A statement gives a region of values (`Region`). A verdict other than undecided is wrong only if the interval misses the
true value. With the simultaneous intervals of Bonferroni's inequality (`simultaneous_level`), the probability of any
wrong verdict in a family is therefore at most 1 - LEVEL, however the estimates depend on each other.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from stilts.statistics.intervals import LEVEL, Interval


class Verdict(StrEnum):
    """What the data say about a statement."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Region:
    """The values for which a statement is true, from `low` to `high`.

    Attributes:
        open_low, open_high: whether the end itself is not part of the region.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def judge(self, interval: Interval | None) -> Verdict:
        """The verdict of an interval that includes its ends; undecided if there is no interval."""
        if interval is None or any(map(math.isnan, interval)):
            return Verdict.UNDECIDED
        low, high = interval
        if not self._is_below(low) and not self._is_above(high):
            return Verdict.SUPPORTED
        return Verdict.CONTRADICTED if self._is_below(high) or self._is_above(low) else Verdict.UNDECIDED

    def distance(self, value: float) -> float:
        """The distance of a value to the nearest end."""
        return min(abs(value - self.low), abs(self.high - value))

    def _is_below(self, value: float) -> bool:
        return value < self.low or (self.open_low and value == self.low)

    def _is_above(self, value: float) -> bool:
        return value > self.high or (self.open_high and value == self.high)


def simultaneous_level(statements: int) -> float:
    """The level of each of so many intervals that together miss a true value with a probability of at most 1 - LEVEL.

    This is Bonferroni's inequality (Dunn 1961, JASA 56). It holds for every dependence of the estimates.
    """
    return 1 - (1 - LEVEL) / statements
