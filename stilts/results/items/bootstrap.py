"""Paired bootstrap over test items: could a difference come from the choice of the test items?

The bootstrap resamples the test items and scores all systems on the same resampled items (Koehn 2004, W04-3250;
Berg-Kirkpatrick et al. 2012, D12-1091). Only items are resampled, never seeds: the resampled number is the difference
averaged over the seeds, so an interval says whether these trained models would differ on other test items of the same
kind. How much other seeds would change is in the tables over seeds; with 3 to 5 seeds, a bootstrap over seeds covers
far less than it promises.

Instead of drawing n of n items with replacement, each item gets a weight that is Poisson distributed with mean 1, and
scores are computed from weighted counts (the Poisson bootstrap, see Chamandy et al. 2012, "Estimating uncertainty for
massive data streams"). The weight is a hash of the item's key and the number of the resample. Items that are
translations of each other have the same key in every language, so a mean over languages is resampled with one common
draw of the test set, whether its languages share all of their items (XNLI, XQuAD) or some of them (MLQA).

The interval and the p value are both Student's t of the difference over its bootstrap standard error, so p < 0.05
exactly where the 95 % interval excludes 0. A p value counted from resamples cannot be smaller than 1 / resamples, which
Holm's adjustment over hundreds of comparisons needs. `benchmarks/items_bootstrap.py --coverage` measures both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from stilts.results.items.counts import Means
from stilts.results.items.keys import Keys, mixed
from stilts.statistics.intervals import LEVEL

RESAMPLES = 2000
"""Number of resamples. It gives the standard error within 3 % (twice its own relative error, 1 / sqrt(2 R))."""

_BLOCK_BYTES = 32 * 2**20
"""Size of the block of weights that is in memory at a time."""

_NO_VARIATION = 1e-9
"""Percentage points: a standard error below it is rounding error."""

_PER_WORD = 4
"""Weights that are made of one 64-bit hash, 16 bits each."""

_QUANTILES = (np.arange(2**16) + 0.5) / 2**16
_POISSON = stats.poisson.ppf(_QUANTILES, 1)
"""Weight for each 16-bit random number. Its mean is 1 and its variance 0.99997."""


@dataclass(frozen=True)
class Difference:
    """Difference between two regimes in points, its interval at LEVEL, and the two-sided p value of no difference.

    `low`, `high` and `p` are None where no resample changes the difference.
    """

    points: float
    low: float | None
    high: float | None
    p: float | None


def resample(
    counts: NDArray[np.uint16] | NDArray[np.float64],
    score: Callable[[Means], Means],
    keys: Keys,
    parallel: bool = False,
    resamples: int = RESAMPLES,
) -> NDArray[np.float64]:
    """Scores of all systems on the same resamples of the items. The result depends on the arguments alone.

    Args:
        counts: [systems, items, counts of an item]
        score: see `Items.score`.
        keys: see `Keys`.
        parallel: whether other languages have items with these keys. If not, the weights of items whose counts are all
            0 are drawn as one sum, which saves most of the time on BUCC's corpora.

    Returns:
        float64 [1 + resamples, systems]; the first row has the scores of the test set as it is.
    """
    systems, items, width = counts.shape
    kept = np.arange(items) if parallel else np.flatnonzero(counts.any(axis=(0, 2)))
    flat = counts[:, kept].transpose(0, 2, 1).reshape(systems * width, len(kept)).astype(np.float64)
    rest = np.random.default_rng(int(keys[0])).poisson(items - len(kept), resamples)
    means = np.empty((systems * width, 1 + resamples))
    means[:, 0] = flat.sum(axis=1) / items
    for start, weights in _weights(keys[kept], resamples):
        stop = start + weights.shape[1]
        total = weights.sum(axis=0) + rest[start:stop]
        empty = total == 0  # happens with a handful of items only
        weights[:, empty], total[empty] = 1, items
        means[:, 1 + start : 1 + stop] = flat @ weights / total
    return score(means.T.reshape(-1, systems, width))


def difference(scores: NDArray[np.float64], items: int) -> Difference:
    """The difference of two systems with its interval and p value.

    Args:
        scores: float64 [1 + resamples], differences in points; the first is that of the test set as it is.
        items: number of different items, of which the degrees of freedom are one less.
    """
    points, error = float(scores[0]), float(scores[1:].std(ddof=1))
    if error < _NO_VARIATION or items < 2:
        return Difference(points, None, None, None)
    half = float(stats.t.ppf((1 + LEVEL) / 2, items - 1)) * error
    return Difference(points, points - half, points + half, float(2 * stats.t.sf(abs(points) / error, items - 1)))


def _weights(keys: Keys, resamples: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """(number of the first resample, weights [items, resamples of this block]) for all resamples."""
    words = max(1, _BLOCK_BYTES // (8 * _PER_WORD * max(len(keys), 1)))
    for first in range(0, -(-resamples // _PER_WORD), words):
        start = first * _PER_WORD
        stop = min(start + words * _PER_WORD, resamples)
        numbers = np.arange(first, -(-stop // _PER_WORD), dtype=np.uint64)
        hashes = mixed(keys[:, None], numbers)
        yield start, _POISSON[hashes.view(np.uint16)[:, : stop - start]]
