"""Correlation coefficients with 95 % intervals and two-sided p values."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh

import numpy as np
from scipy import stats

from stilts.statistics.intervals import LEVEL

FEWEST = 5
"""Fewest pairs for which a correlation is computed; with fewer, the interval would be nearly all of -1 to 1."""

_DIGITS = 9
"""Decimals of percentage points and distances that mean something; further ones are rounding error."""

_Z = float(stats.norm.ppf((1 + LEVEL) / 2))


@dataclass(frozen=True)
class Correlation:
    """A coefficient, its interval at LEVEL (None if the coefficient is exactly -1 or 1), and its p value."""

    value: float
    low: float | None
    high: float | None
    p: float


def pearson(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Pearson's r of n pairs; interval by Fisher's z (1921), whose standard error is 1 / sqrt(n - 3)."""
    found = stats.pearsonr(x, y)
    r, p = float(found.statistic), float(found.pvalue)
    if _is_exact(r):
        return Correlation(r, None, None, p)
    interval = found.confidence_interval(LEVEL)
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
