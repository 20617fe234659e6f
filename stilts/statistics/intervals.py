"""Intervals of a sample's mean (Student's t) and standard deviation (chi-squared), and the test that the mean is 0.

With 3 to 10 seeds, Student's t keeps its nominal level where a percentile bootstrap does not
(`benchmarks/interval_coverage.py` measures both). All functions take mean, standard deviation and number alone, since
the tables keep nothing else of a sample. Interval and test of the mean equal those of `scipy.stats.ttest_1samp`.
"""

import math

from scipy import special

from stilts.statistics.spread import Spread

LEVEL = 0.95
"""Confidence level of all intervals."""

Interval = tuple[float, float]
"""(low, high)"""

_NO_VARIATION = 1e-9
"""Percentage points: a standard deviation below it is rounding error of equal numbers."""


def t_interval(spread: Spread, level: float = LEVEL) -> Interval | None:
    """The interval of the mean at a level; None for one observation and for equal ones."""
    error = _standard_error(spread)
    if error is None:
        return None
    half = float(special.stdtrit(spread.n - 1, (1 + level) / 2)) * error
    return spread.mean - half, spread.mean + half


def t_test(spread: Spread) -> float | None:
    """Two-sided p value of the hypothesis that the mean is 0; None for one observation and for equal ones.

    For differences of pairs it is the paired t test.
    """
    error = _standard_error(spread)
    return None if error is None else float(2 * special.stdtr(spread.n - 1, -abs(spread.mean / error)))


def above_test(spread: Spread, least: float) -> float | None:
    """One-sided p value of the hypothesis that the mean is `least` or lower; None as for `t_test`."""
    error = _standard_error(spread)
    return None if error is None else float(special.stdtr(spread.n - 1, -(spread.mean - least) / error))


def sd_interval(spread: Spread) -> Interval | None:
    """The interval of the standard deviation at LEVEL; None for one observation and for equal ones.

    (n - 1) sd^2 / variance of normal observations is chi-squared with n - 1 degrees of freedom. The interval relies on
    normality however many observations there are.
    """
    if spread.sd is None or not varies(spread):
        return None
    freedom = spread.n - 1
    low, high = (special.chdtri(freedom, tail) for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return spread.sd * math.sqrt(freedom / low), spread.sd * math.sqrt(freedom / high)


def varies(spread: Spread) -> bool:
    """Whether the sample has a standard deviation greater than rounding error."""
    return spread.sd is not None and spread.sd > _NO_VARIATION


def _standard_error(spread: Spread) -> float | None:
    return spread.sd / math.sqrt(spread.n) if spread.sd is not None and varies(spread) else None
