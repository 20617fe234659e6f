"""The ratio of two means that are observed in pairs, with Fieller's interval."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from stilts.statistics.intervals import Interval


def fieller(above: Sequence[float], below: Sequence[float], level: float) -> Interval | None:
    """The interval of (mean of `above`) / (mean of `below`) over pairs (Fieller 1954, JRSS B 16).

    It holds the ratios r for which a paired t test does not reject that the mean of `above - r x below` is 0.

    Returns:
        None for one pair, if the values do not vary, and if the set is unbounded because the mean of `below` does not
        differ from 0 at this level.
    """
    n = len(above)
    if n < 2:
        return None
    (var_above, both), (_, var_below) = np.cov(above, below)
    quantile = float(special.stdtrit(n - 1, (1 + level) / 2)) ** 2 / n
    top, bottom = float(np.mean(above)), float(np.mean(below))
    square = bottom**2 - quantile * var_below
    linear = top * bottom - quantile * both
    constant = top**2 - quantile * var_above
    root = linear**2 - square * constant
    if square <= 0 or root < 0 or max(var_above, var_below) < 1e-18:
        return None
    half = math.sqrt(root)
    return float((linear - half) / square), float((linear + half) / square)
