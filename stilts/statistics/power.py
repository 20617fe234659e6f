"""Power of a paired comparison: the difference that n seeds can show, and the seeds that a difference needs.

All numbers are for a two-sided paired t test at 5 % with a power of 80 %, by the noncentral t distribution (Cohen 1988,
"Statistical Power Analysis", chapter 2). A significant result in the wrong direction does not count.
"""

import math
from bisect import bisect_left
from functools import cache

from scipy import optimize, stats

from stilts.statistics.intervals import varies
from stilts.statistics.spread import Spread

ALPHA, POWER = 0.05, 0.8

FEWEST = 5
"""Comparisons of fewer seeds are called underpowered: with so few, the standard deviation itself is hardly known."""

MOST = 10_000
"""The largest number of seeds that is reported."""


def power(n: int, effect: float, alpha: float = ALPHA) -> float:
    """The probability that n pairs are significant where their true mean is `effect` standard deviations.

    Args:
        n: 2 or more.
        effect: greater than 0.
        alpha: level of the two-sided test.
    """
    return float(stats.nct.sf(stats.t.ppf(1 - alpha / 2, n - 1), n - 1, effect * math.sqrt(n)))


@cache
def detectable(n: int, alpha: float = ALPHA) -> float:
    """The true mean difference, in standard deviations of the differences, that n >= 2 pairs show with POWER."""
    critical = float(stats.t.ppf(1 - alpha / 2, n - 1))
    most = (3 * critical + 5) / math.sqrt(n)  # far above the answer, and not so far that the distribution overflows
    return float(optimize.brentq(lambda effect: power(n, effect, alpha) - POWER, 1e-3, most))


def seeds_needed(difference: float, spread: Spread, alpha: float = ALPHA) -> int | None:
    """The number of pairs that show a true difference of so many points with POWER.

    Args:
        difference: in points, greater than 0.
        spread: of the observed differences; their standard deviation is taken for the true one.
        alpha: level of the two-sided test.

    Returns:
        2 to MOST, where MOST stands for itself and more; None if the differences do not vary.
    """
    if spread.sd is None or not varies(spread):
        return None
    sd = spread.sd
    return bisect_left(range(MOST), True, lo=2, key=lambda n: detectable(n, alpha) * sd <= difference)


def is_underpowered(n: int, needed: int | None) -> bool:
    """Whether n pairs are fewer than FEWEST or than needed."""
    return n < FEWEST or (needed is not None and n < needed)
