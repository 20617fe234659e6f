"""Multiple comparisons with the best: intervals of each mean less the highest of the others.

The method is that of Hsu (1984, Annals of Statistics 12; 1996, "Multiple Comparisons: Theory and Methods", chapter 4),
here with blocks: every column has one score of each seed, and the residual variance is that of the additive model
score = column + seed + residual. The model takes the residuals for normal, independent and of equal variance.
"""

import math
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from stilts.statistics.intervals import Interval

Matrix = npt.NDArray[np.float64]


def comparisons_with_best(scores: Matrix, level: float) -> list[Interval] | None:
    """Simultaneous intervals of (mean of a column) - (highest mean of the other columns), one for each column.

    The lower end of the interval is 0 if no other column can be the best, and the upper end is 0 if the column itself
    cannot be.

    Args:
        scores: [seeds, columns], without missing values.

    Returns:
        None for one seed, for one column, and if no residual varies.
    """
    seeds, columns = scores.shape
    if min(seeds, columns) < 2:
        return None
    residuals = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    freedom = (seeds - 1) * (columns - 1)
    error = math.sqrt(float(np.sum(residuals**2)) / freedom * 2 / seeds)
    if error < 1e-9:
        return None
    allowance = critical_value(columns - 1, freedom, level) * error
    means = scores.mean(axis=0)
    ahead = [float(means[i] - np.delete(means, i).max()) for i in range(columns)]
    upper = [max(0.0, lead + allowance) for lead in ahead]
    possible = [i for i in range(columns) if upper[i] > 0]
    return [(_lower(means, i, possible, allowance), upper[i]) for i in range(columns)]


def _lower(means: Matrix, column: int, possible: list[int], allowance: float) -> float:
    """Hsu's lower end: against the columns that can be the best."""
    rivals = [means[i] for i in possible if i != column]
    return min(0.0, float(means[column] - max(rivals)) - allowance) if rivals else 0.0


@cache
def critical_value(comparisons: int, freedom: int, level: float) -> float:
    """Dunnett's one-sided critical value (1955, JASA 50): the quantile of the largest of some t statistics that share
    one of the two means which each of them compares, so that any two have a correlation of 1/2.

    Args:
        comparisons: number of the statistics.
        freedom: degrees of freedom of the common variance.
    """

    def excess(value: float) -> float:
        return _probability(value, comparisons, freedom) - level

    return float(optimize.brentq(excess, 0, 500))


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
"""Nodes and weights of a normal variable, whose weights sum to sqrt(2 pi)."""
_SHARES = (np.arange(2000) + 0.5) / 2000
"""Mid-points at which the distribution of the standard deviation is taken."""


def _probability(value: float, comparisons: int, freedom: int) -> float:
    """P(all statistics <= value): each is (sqrt(2) x normal - common normal) / sqrt(2), over the standard deviation."""
    deviations = np.sqrt(stats.chi2.ppf(_SHARES, freedom) / freedom)
    all_below = special.ndtr(math.sqrt(2) * value * deviations[:, None] + _NODES) ** comparisons
    return float(np.mean(all_below @ _WEIGHTS) / math.sqrt(2 * math.pi))
