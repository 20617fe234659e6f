"""Power of a paired comparison: what difference so many seeds show, and how many show a given one.

Two-sided paired t test at 5 %, power 80 %, by the noncentral t distribution (Cohen 1988, chapter 2). What is
significant in the wrong direction does not count as shown.
"""

import math
from bisect import bisect_left
from functools import cache

from scipy import optimize, stats

from stilts.statistics.intervals import varies
from stilts.statistics.spread import Spread

ALPHA, POWER = 0.05, 0.8

FEWEST = 5
"""Seeds below which a comparison is called underpowered, whatever their deviation: it is hardly known itself."""

MOST = 10_000
"""Seeds beyond which none are counted."""


def power(n: int, effect: float) -> float:
    """The probability that n pairs are significant where their true mean is `effect` standard deviations.

    Args:
        n: 2 or more.
        effect: greater than 0.
    """
    return float(stats.nct.sf(stats.t.ppf(1 - ALPHA / 2, n - 1), n - 1, effect * math.sqrt(n)))


@cache
def detectable(n: int) -> float:
    """The mean difference, in standard deviations of the differences, that n pairs show with POWER; n >= 2."""
    return float(optimize.brentq(lambda effect: power(n, effect) - POWER, 1e-3, 20))


def seeds_needed(difference: float, spread: Spread) -> int | None:
    """Pairs that show a true difference of so many points with POWER.

    Args:
        difference: greater than 0.
        spread: the differences seen, whose standard deviation is taken for the true one.

    Returns:
        2 to MOST, MOST standing for more; None where the differences show no variation.
    """
    if spread.sd is None or not varies(spread):
        return None
    sd = spread.sd
    return bisect_left(range(MOST), True, lo=2, key=lambda n: detectable(n) * sd <= difference)


def is_underpowered(n: int, needed: int | None) -> bool:
    """Whether n pairs are too few to tell, or fewer than are needed."""
    return n < FEWEST or (needed is not None and n < needed)
