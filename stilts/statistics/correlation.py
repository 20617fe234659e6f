"""Correlation coefficients, and the difference of two of them, with intervals and two-sided p values."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh

import numpy as np
from scipy import stats

from stilts.statistics.intervals import LEVEL, Interval

FEWEST = 5
"""Fewest pairs for which a correlation is computed; with fewer, the interval would be nearly all of -1 to 1."""

_DIGITS = 9
"""Decimals of percentage points and distances that mean something; further ones are rounding error."""

_Z = float(stats.norm.ppf((1 + LEVEL) / 2))


@dataclass(frozen=True)
class Correlation:
    """A coefficient, its interval (None if the coefficient is exactly -1 or 1), and its p value."""

    value: float
    low: float | None
    high: float | None
    p: float


def pearson(x: Sequence[float], y: Sequence[float], level: float = LEVEL) -> Correlation:
    """Pearson's r of n pairs; interval by Fisher's z (1921), whose standard error is 1 / sqrt(n - 3)."""
    found = stats.pearsonr(x, y)
    r, p = float(found.statistic), float(found.pvalue)
    if _is_exact(r):
        return Correlation(r, None, None, p)
    interval = found.confidence_interval(level)
    return Correlation(r, float(interval.low), float(interval.high), p)


def spearman(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Spearman's rho of n pairs; interval by Fisher's z with the variance (1 + rho^2 / 2) / (n - 3) of Bonett and
    Wright (2000, Psychometrika 65, doi:10.1007/BF02294183). Numbers that differ by rounding error alone are ties."""
    found = stats.spearmanr(np.round(x, _DIGITS), np.round(y, _DIGITS))
    rho = float(found.statistic)
    return _correlation(rho, (1 + rho**2 / 2) / (len(x) - 3), float(found.pvalue))


def partial(x: Sequence[float], y: Sequence[float], held: Sequence[float]) -> Correlation:
    """Pearson's r of n pairs with a third variable held constant (Fisher 1924, Metron 3): the correlation of the
    residuals of two regressions on that variable. It takes one degree of freedom: the interval's standard error on
    Fisher's z scale is 1 / sqrt(n - 4), and p is that of Student's t with n - 3 degrees of freedom."""
    r = float(stats.pearsonr(_residuals(x, held), _residuals(y, held)).statistic)
    freedom = len(x) - 3
    t = r * sqrt(freedom / (1 - r**2)) if abs(r) < 1 else np.inf
    return _correlation(r, 1 / (len(x) - 4), float(2 * stats.t.sf(abs(t), freedom)))


def difference(
    shared: Sequence[float], first: Sequence[float], second: Sequence[float], level: float = LEVEL
) -> tuple[float, Interval | None]:
    """r(shared, first) - r(shared, second) of n triples, with its interval.

    The interval is that of Zou (2007, Psychological Methods 12) for two correlations that have a variable in common:
    it combines the two intervals of Fisher's z with the correlation of the two coefficients.

    Returns:
        The interval is None if one of the three correlations is exactly -1 or 1.
    """
    r, q, s = (pearson(a, b).value for a, b in ((shared, first), (shared, second), (first, second)))
    if any(map(_is_exact, (r, q, s))):
        return r - q, None
    (our_low, our_high), (their_low, their_high) = (_fisher(r, len(shared), level), _fisher(q, len(shared), level))
    common = ((s - r * q / 2) * (1 - r**2 - q**2 - s**2) + s**3) / ((1 - r**2) * (1 - q**2))
    down = (r - our_low) ** 2 + (their_high - q) ** 2 - 2 * common * (r - our_low) * (their_high - q)
    up = (our_high - r) ** 2 + (q - their_low) ** 2 - 2 * common * (our_high - r) * (q - their_low)
    return r - q, (r - q - sqrt(max(down, 0.0)), r - q + sqrt(max(up, 0.0)))


def _fisher(r: float, n: int, level: float) -> Interval:
    half = float(stats.norm.ppf((1 + level) / 2)) / sqrt(n - 3)
    return tanh(atanh(r) - half), tanh(atanh(r) + half)


def varies(values: Sequence[float]) -> bool:
    """Whether values differ by more than rounding error. If they do not, no correlation exists."""
    return bool(np.ptp(values) > 10**-_DIGITS)


def _residuals(values: Sequence[float], held: Sequence[float]) -> np.ndarray:
    line = stats.linregress(held, values)
    residuals: np.ndarray = np.asarray(values) - line.intercept - line.slope * np.asarray(held)
    return residuals


def _is_exact(r: float) -> bool:
    """Whether r is -1 or 1 but for rounding error."""
    return abs(r) >= 1 - 1e-12


def _correlation(r: float, variance: float, p: float) -> Correlation:
    """The interval has the given variance on Fisher's z scale."""
    if _is_exact(r):
        return Correlation(r, None, None, p)
    half = _Z * sqrt(variance)
    return Correlation(r, tanh(atanh(r) - half), tanh(atanh(r) + half), p)
