"""Paired bootstrap over test items: how much of a difference is this sample of test items.

Koehn 2004 (W04-3250) and Berg-Kirkpatrick et al. 2012 (D12-1091): the test set is drawn again from itself, with
replacement, and every system is scored on the same draw. Of several seeds the items alone are drawn: one draw serves
all seeds of both regimes, and what is resampled is the difference averaged over the seeds. The interval is thus over
test items, with the models as they were trained: it says whether these models differ on data of this kind. How much
another seed would change is in the summary over seeds; to draw seeds too would hide that there are 3 or 5 of them, of
which a bootstrap covers too little.

The interval is the percentile one. The p is not the share of draws beyond 0, which with R draws is never below 1 / R,
far above what Holm's adjustment over hundreds of languages and regimes asks for: it is Student's t of the difference
over its bootstrap standard error, with one degree of freedom less than items. `benchmarks/items_bootstrap.py` measures
what both keep of their promise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from stilts.results.items.counts import Means
from stilts.statistics.intervals import LEVEL

RESAMPLES = 2000
"""Draws. Two seeds of 2,000 give interval ends that differ by a few hundredths of the interval."""

_BLOCK = 32 * 2**20
"""Bytes of one block of weights."""

_DUST = 1e-9
"""Percentage points: a deviation below it is rounding of equal numbers."""


@dataclass(frozen=True)
class Difference:
    """Points between two regimes, with the interval at LEVEL and a two-sided p; None where the draws do not differ."""

    points: float
    low: float | None
    high: float | None
    p: float | None


def resample(
    counts: NDArray[np.uint16] | NDArray[np.float64], score: Callable[[Means], Means], resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Scores of all systems on the same draws of the items.

    The draws depend on nothing but the number of items, and how many of them count anything: they are the same each
    time, and the same for test sets that are translations of one another, line by line.

    Args:
        counts: [systems, items, what is counted]
        score: see `Items.score`.

    Returns:
        float64 [1 + resamples, systems]; the first row has the items as they are.
    """
    systems, items, width = counts.shape
    active = np.flatnonzero(counts.any(axis=(0, 2)))  # of BUCC's corpora next to nothing
    if not len(active):  # nothing is right at all, and there is still something to draw
        active = np.arange(items)
    flat = counts[:, active].transpose(1, 0, 2).reshape(-1, systems * width).astype(np.float64)
    sums = np.concatenate([flat.sum(axis=0, keepdims=True), *(w @ flat for w in _weights(len(flat), items, resamples))])
    return score((sums / items).reshape(-1, systems, width))


def _weights(active: int, items: int, resamples: int) -> Iterator[NDArray[np.float64]]:
    """How often each of the active items is drawn when as many as there are are drawn of all: [draws, active]."""
    random = np.random.default_rng(items)
    rows = max(1, _BLOCK // (8 * active))
    for start in range(0, resamples, rows):
        block = np.empty((min(rows, resamples - start), active))
        for row in block:
            drawn = random.integers(active, size=random.binomial(items, active / items))
            row[:] = np.bincount(drawn, minlength=active)
        yield block


def difference(scores: NDArray[np.float64], items: int) -> Difference:
    """The difference and what its draws say of it.

    Args:
        scores: float64 [1 + resamples], in points, as it is and by draws.
        items: how many were drawn.
    """
    points, draws = float(scores[0]), scores[1:]
    error = float(draws.std(ddof=1))
    if error < _DUST:
        return Difference(points, None, None, None)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(points, float(low), float(high), float(2 * stats.t.sf(abs(points) / error, items - 1)))
