"""Intervals of a mean and of a standard deviation, against scipy's tests and published quantiles."""

import numpy as np
import pytest
from scipy import stats

from stilts.statistics.intervals import sd_interval, t_interval, t_test
from stilts.statistics.spread import Spread, spread


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_interval_and_p_are_those_of_scipy(n):
    values = np.random.default_rng(n).normal(0.5, 2.0, n)
    expected = stats.ttest_1samp(values, 0)
    found = spread(values.tolist())
    assert t_interval(found) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert t_test(found) == pytest.approx(expected.pvalue)


def test_the_quantile_is_that_of_the_tables():
    """2.776 for four degrees of freedom (Student's table, two-sided 5 %)."""
    low, high = t_interval(Spread(10.0, 5**0.5, 5))
    assert (low, high) == (pytest.approx(10 - 2.776, abs=1e-3), pytest.approx(10 + 2.776, abs=1e-3))


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [0.1 + 0.2, 0.3]])
def test_what_shows_no_variation_has_none(values):
    found = spread(values)
    assert (t_interval(found), t_test(found), sd_interval(found)) == (None, None, None)


def test_the_interval_of_a_standard_deviation_is_that_of_the_tables():
    """0.484 and 11.143: the 2.5 % and 97.5 % quantiles of chi-squared with four degrees of freedom."""
    low, high = sd_interval(Spread(70.0, 3.0, 5))
    assert (low, high) == (pytest.approx((36 / 11.143) ** 0.5, rel=1e-3), pytest.approx((36 / 0.4844) ** 0.5, rel=1e-3))


def test_a_spread():
    assert spread([]) is None
    assert spread([4.0]) == Spread(4.0, None, 1)
    assert spread([1.0, 3.0]) == Spread(2.0, pytest.approx(2**0.5), 2)
