"""Hsu's comparisons with the best: against tables, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from stilts.statistics.best import comparisons_with_best, critical_value


@pytest.mark.parametrize(("comparisons", "freedom", "level"), [(2, 10, 0.95), (5, 20, 0.99), (9, 36, 0.95)])
def test_critical_values_are_quantiles_of_the_multivariate_t(comparisons: int, freedom: int, level: float) -> None:
    shape = np.full((comparisons, comparisons), 0.5) + np.eye(comparisons) / 2
    value = np.full(comparisons, critical_value(comparisons, freedom, level))
    found = stats.multivariate_t(np.zeros(comparisons), shape, freedom, seed=1).cdf(value)
    assert found == pytest.approx(level, abs=1e-3)


@pytest.mark.parametrize(("freedom", "level"), [(4, 0.95), (12, 0.99), (200, 0.95)])
def test_with_one_comparison_it_is_students_t(freedom: int, level: float) -> None:
    assert critical_value(1, freedom, level) == pytest.approx(stats.t.ppf(level, freedom), rel=2e-3)


def test_a_column_that_is_far_ahead_is_the_best() -> None:
    scores = np.array([[10.0, 5, 5.5], [11, 6.5, 6], [12, 7, 7.2], [13, 8.1, 8]])
    intervals = comparisons_with_best(scores, 0.95)
    assert intervals is not None
    assert intervals[0][0] == 0
    assert intervals[0][1] > 4
    assert all(high == 0 and low < -4 for low, high in intervals[1:])


def test_seeds_that_raise_all_columns_alike_do_not_widen_the_intervals() -> None:
    rng = np.random.default_rng(1)
    noise, seeds = rng.normal(size=(6, 3)), rng.normal(size=(6, 1)) * 100
    narrow, same = comparisons_with_best(noise, 0.95), comparisons_with_best(noise + seeds, 0.95)
    assert narrow is not None
    assert np.allclose(narrow, same)


@pytest.mark.parametrize("scores", [np.ones((1, 3)), np.ones((3, 1)), np.ones((3, 3))])
def test_without_variation_there_are_no_intervals(scores: np.ndarray) -> None:
    assert comparisons_with_best(scores, 0.95) is None


@pytest.mark.parametrize("means", [(0, 0, 0, 0), (0, 0, 1, 1), (0, 0.5, 1, 1.5)])
def test_the_intervals_hold_together_as_often_as_they_say(means: tuple[float, ...]) -> None:
    rng, truth = np.random.default_rng(3), np.array(means, dtype=float)
    lead = [truth[i] - np.delete(truth, i).max() for i in range(len(truth))]
    draws, covered = 1500, 0
    for _ in range(draws):
        intervals = comparisons_with_best(truth + rng.normal(size=(5, 4)) + rng.normal(size=(5, 1)), 0.95)
        assert intervals is not None
        covered += all(low <= value <= high for (low, high), value in zip(intervals, lead, strict=True))
    assert covered / draws > 0.95 - 3 * (0.05 * 0.95 / draws) ** 0.5
