"""Components of variance: how much of the variance of scores comes from each of several random factors.

A factor is a source of randomness with a level (a seed) for every score. The model is that of additive random effects,
score = mean + effect of each factor's level + residual. The residual contains everything that differs from score to
score, and the interactions of the factors. Estimates equate sums of squares to their expectations (Henderson's method
1, which is the analysis of variance where the design is balanced; Searle, Casella and McCulloch 1992, "Variance
Components", chapter 5).

Intervals of the shares use generalized pivots (Weerahandi 1993, JASA 88): sums of squares divided by chi-squared
variables stand for the unknown variances. In unbalanced designs, the least-squares effects of the levels take the place
of the means (Burdick and Graybill 1992, "Confidence Intervals on Variance Components", chapter 6, on unbalanced two-way
designs), which makes the chi-squared distributions approximate. Scores must be missing for reasons that have nothing to
do with their values. `benchmarks/interval_coverage.py` measures the coverage.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from stilts.statistics.intervals import LEVEL, Interval

RESIDUAL = "residual"

DRAWS = 10_000
"""Draws of the pivots."""

Levels = Mapping[str, Sequence[int]]
"""Factor -> the level of each score."""

_Matrix = npt.NDArray[np.float64]


def components(values: Sequence[float], levels: Levels) -> dict[str, float] | None:
    """The estimated variance of each factor and of the residual.

    Returns:
        Variances, which can be negative; None where the design does not tell the factors apart, or has too few scores.
    """
    scores, indicators = np.asarray(values, dtype=float), [*_indicators(levels).values(), np.eye(len(values))]
    if not len(scores):
        return None
    mean = np.full((len(scores), len(scores)), 1 / len(scores))
    forms = [indicator / indicator.sum(axis=0) @ indicator.T - mean for indicator in indicators]
    # E[y'Qy] is the sum over the factors of their variance x tr(Q Z Z'); the mean drops out.
    expected = np.array([[np.trace(form @ indicator @ indicator.T) for indicator in indicators] for form in forms])
    if np.linalg.matrix_rank(expected) < len(indicators):
        return None
    solved = np.linalg.solve(expected, [scores @ form @ scores for form in forms])
    return dict(zip([*levels, RESIDUAL], map(float, solved), strict=True))


def shares(variances: Mapping[str, float]) -> dict[str, float]:
    """Shares of the total in percent, negative variances counting as 0; empty if the total is 0."""
    positive = {part: max(value, 0.0) for part, value in variances.items()}
    total = sum(positive.values())
    return {part: 100 * value / total for part, value in positive.items()} if total else {}


def share_intervals(values: Sequence[float], levels: Levels) -> dict[str, Interval]:
    """Intervals of `shares` at LEVEL.

    Returns:
        An interval for each factor and the residual. Empty if nothing varies, if a factor has one level only, if levels
        cannot be compared (scores without a common level, factors that vary together), or if the additive model leaves
        no degree of freedom.
    """
    scores, indicators = np.asarray(values, dtype=float), _indicators(levels)
    counts = [indicator.shape[1] for indicator in indicators.values()]
    if not len(scores) or min(counts) < 2 or scores.max() == scores.min():
        return {}
    # The effects of the levels of a factor sum to 0.
    centred = [indicator - 1 / indicator.shape[1] for indicator in indicators.values()]
    design = np.hstack([np.ones((len(scores), 1)), *centred])
    estimable = 1 + sum(count - 1 for count in counts)
    freedom = len(scores) - estimable
    if freedom < 1 or np.linalg.matrix_rank(design) < estimable:
        return {}
    inverse = np.linalg.pinv(design)
    found, covariance = inverse @ scores, inverse @ inverse.T
    random = np.random.default_rng(0)
    residual = np.sum((scores - design @ found) ** 2) / random.chisquare(freedom, DRAWS)
    drawn, start = {}, 1
    for factor, count in zip(levels, counts, strict=True):
        effects = slice(start, start + count)
        # The effects vary by their own variance and by a part of the residual's: in a balanced design by one divided by
        # the number of scores of a level.
        noise = np.trace(covariance[effects, effects]) / (count - 1)
        squares = np.sum(found[effects] ** 2) / random.chisquare(count - 1, DRAWS)
        drawn[factor] = np.maximum(squares - noise * residual, 0)
        start += count
    drawn[RESIDUAL] = residual
    total, ends = sum(drawn.values()), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    intervals = {part: np.quantile(100 * pivot / total, ends) for part, pivot in drawn.items()}
    return {part: (float(low), float(high)) for part, (low, high) in intervals.items()}


def _indicators(levels: Levels) -> dict[str, _Matrix]:
    """Factor -> [scores, levels that occur], 1 where a score has the level."""
    found = {factor: np.unique(np.asarray(of, dtype=int), return_inverse=True) for factor, of in levels.items()}
    return {factor: np.eye(len(names))[index] for factor, (names, index) in found.items()}
