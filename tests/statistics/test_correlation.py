"""Correlations: the coefficients and intervals of other implementations, and how often the intervals hold."""

import numpy as np
import pytest
from scipy import stats

from stilts.statistics.correlation import difference, partial, pearson, spearman, varies

X = [0.10, 0.18, 0.22, 0.29, 0.36, 0.38, 0.42, 0.49, 0.53, 0.61]
Y = [2.1, 1.4, 1.9, 0.2, 0.8, 1.1, -0.3, 0.1, -0.9, 0.4]
Z = [4.2, 4.0, 3.9, 3.1, 2.5, 2.9, 1.1, 1.6, 0.5, 0.7]


def test_pearson_is_scipys_with_its_interval():
    found, theirs = pearson(X, Y), stats.pearsonr(X, Y)
    interval = theirs.confidence_interval()
    assert (found.value, found.p) == (pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue))
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_spearman_is_pearsons_of_the_ranks_with_a_wider_interval():
    found, of_ranks = spearman(X, Y), pearson(stats.rankdata(X), stats.rankdata(Y))
    assert found.value == pytest.approx(of_ranks.value)
    assert found.low < of_ranks.low
    assert found.high > of_ranks.high


def test_numbers_that_differ_by_rounding_are_ties():
    assert spearman(X, [1.0, 1.0 + 1e-14, 1.0 - 1e-14, *Y[3:]]) == spearman(X, [1.0, 1.0, 1.0, *Y[3:]])


def test_partial_is_the_recursive_formula_and_loses_a_degree_of_freedom():
    xy, xz, yz = (stats.pearsonr(a, b).statistic for a, b in ((X, Y), (X, Z), (Y, Z)))
    found = partial(X, Y, Z)
    r = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert found.value == pytest.approx(r)
    t = r * np.sqrt(7 / (1 - r**2))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 7))
    assert found.p > pearson(X, Y).p


def test_a_perfect_correlation_has_no_interval():
    found = pearson(X, [2 * x for x in X])
    assert (found.value, found.low, found.high) == (pytest.approx(1), None, None)


def test_equal_numbers_do_not_vary():
    assert not varies([0.1 + 0.2, 0.3])
    assert varies([0.3, 0.3001])


@pytest.mark.parametrize("n", [10, 25])
def test_intervals_cover_the_correlation_that_the_pairs_were_drawn_with(n):
    rng, rho, draws = np.random.default_rng(0), 0.5, 200
    rank_rho = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's of a bivariate normal (Pearson 1907)
    covered = np.zeros(3)
    for _ in range(draws):
        held = rng.normal(size=n)
        x, noise = rng.normal(size=n), rng.normal(size=n)
        y = rho * x + np.sqrt(1 - rho**2) * noise
        pairs = ((pearson(x, y), rho), (spearman(x, y), rank_rho), (partial(x + held, y + held, held), rho))
        covered += [found.low <= true <= found.high for found, true in pairs]
    assert (covered / draws).min() > 0.92, covered / draws


def test_the_difference_of_two_correlations_covers_as_often_as_it_says() -> None:
    rng, covered, draws = np.random.default_rng(2), 0, 1500
    # r(shared, first) = 0.6 and r(shared, second) = 0.3, and the two have noise in common
    for _ in range(draws):
        shared, common = rng.normal(size=(2, 20))
        first = 0.6 * shared + 0.8 * (0.5 * common + 0.75**0.5 * rng.normal(size=20))
        second = 0.3 * shared + 0.91**0.5 * (0.5 * common + 0.75**0.5 * rng.normal(size=20))
        interval = difference(list(shared), list(first), list(second))[1]
        assert interval is not None
        covered += interval[0] <= 0.3 <= interval[1]
    assert covered / draws == pytest.approx(0.95, abs=0.02)


def test_equal_correlations_differ_by_nothing_and_exact_ones_have_no_interval() -> None:
    value, interval = difference(X, Y, Y)
    assert (value, interval) == (0, None)
    value, interval = difference(X, Y, [y + (-1) ** i / 2 for i, y in enumerate(Y)])
    assert interval is not None
    assert interval[0] < value < interval[1]
