"""Metrics of regression: the correlations of predicted and gold numbers, in percent.

Both are functions of sums over items, as every metric is. Pearson's correlation is computed of deviations from the
means of the whole test set, so that large values cancel no digits. Spearman's is Pearson's of the ranks in the whole
test set, where equal numbers share their mean rank. In a bootstrap sample, the items keep those ranks.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stilts.tasks.metrics.base import Counts, Facts, Metric, Sums, check_number, ratio, register


def count_deviations(predictions: Sequence[float], gold: Sequence[float], facts: Facts) -> Counts:
    """float64 [items, 5]: deviations x and y of prediction and gold from their means, x * x, y * y and x * y."""
    check_number(predictions, gold)
    return _moments(np.asarray(predictions, np.float64), np.asarray(gold, np.float64))


def count_ranks(predictions: Sequence[float], gold: Sequence[float], facts: Facts) -> Counts:
    """float64 [items, 5]: as `count_deviations`, of the ranks."""
    check_number(predictions, gold)
    return _moments(ranks(np.asarray(predictions, np.float64)), ranks(np.asarray(gold, np.float64)))


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each value from 1, float64 [n]; equal values have the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return found


def _moments(ours: NDArray[np.float64], right: NDArray[np.float64]) -> Counts:
    x, y = (values - values.mean() if len(values) else values for values in (ours, right))
    return np.stack([x, y, x * x, y * y, x * y], axis=-1)


def _correlation(sums: Sums, items: float) -> NDArray[np.float64]:
    """The correlation in percent; 0 where predictions or gold are all equal."""
    x, y, xx, yy, xy = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
    spread = np.maximum(xx - x * x / items, 0) * np.maximum(yy - y * y / items, 0)
    return np.clip(ratio(xy - x * y / items, np.sqrt(spread)), -1, 1) * 100


register(
    Metric("pearson", "scores", count_deviations, _correlation),
    Metric("spearman", "scores", count_ranks, _correlation),
)
