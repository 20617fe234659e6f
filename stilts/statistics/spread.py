"""Mean, standard deviation and size of a sample: what all statistics over seeds are computed from."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation (with n - 1 in the denominator; None for n = 1) and number of observations."""

    mean: float
    sd: float | None
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """The Spread of a sample; None if it is empty."""
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))
