"""Student's t for a sample: the interval of its mean, and the test that the mean is 0.

With the 3 to 10 seeds that people have, these keep their nominal level where a percentile bootstrap does not
(`benchmarks/interval_coverage.py` measures both). They are computed from mean, standard deviation and number alone,
since that is all that the tables keep of a sample; results equal those of `scipy.stats.ttest_1samp`.
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


def t_interval(spread: Spread) -> Interval | None:
    """The interval of the mean at LEVEL; None for one observation and for equal ones."""
    error = _standard_error(spread)
    if error is None:
        return None
    half = float(special.stdtrit(spread.n - 1, (1 + LEVEL) / 2)) * error
    return spread.mean - half, spread.mean + half


def t_test(spread: Spread) -> float | None:
    """Two-sided p value of the hypothesis that the mean is 0; None for one observation and for equal ones.

    For differences of pairs it is the paired t test.
    """
    error = _standard_error(spread)
    return None if error is None else float(2 * special.stdtr(spread.n - 1, -abs(spread.mean / error)))


def varies(spread: Spread) -> bool:
    """Whether the sample has a standard deviation greater than rounding error."""
    return spread.sd is not None and spread.sd > _NO_VARIATION


def _standard_error(spread: Spread) -> float | None:
    return spread.sd / math.sqrt(spread.n) if spread.sd is not None and varies(spread) else None
