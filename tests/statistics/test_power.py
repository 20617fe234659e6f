"""Power, against published sample sizes and simulation."""

import numpy as np
import pytest
from scipy import stats

from stilts.statistics.power import MOST, detectable, is_underpowered, power, seeds_needed
from stilts.statistics.spread import Spread


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_published_sample_sizes(effect, pairs):
    """G*Power and R's power.t.test, paired, two-sided 5 %, power 80 %."""
    assert seeds_needed(effect, Spread(0.0, 1.0, 5)) == pairs
    assert seeds_needed(1.0, Spread(3.0, 1 / effect, 3)) == pairs


def test_power_is_what_a_simulation_shows():
    draws = np.random.default_rng(1).normal(1.5, 1.0, size=(20_000, 5))
    found = stats.ttest_1samp(draws, 0, axis=1)
    shown = np.mean((found.pvalue < 0.05) & (found.statistic > 0))
    assert power(5, 1.5) == pytest.approx(shown, abs=0.01)


def test_what_is_detectable_has_the_power_asked_for_and_falls_with_seeds():
    effects = [detectable(n) for n in (2, 3, 5, 10, 100, 9999)]
    assert effects == sorted(effects, reverse=True)
    assert power(7, detectable(7)) == pytest.approx(0.8)


@pytest.mark.parametrize("alpha", [0.05, 0.005, 0.0005])
def test_a_stricter_level_needs_a_larger_effect(alpha):
    for n in (2, 5, 50):
        assert power(n, detectable(n, alpha), alpha) == pytest.approx(0.8, abs=1e-3)
        assert detectable(n, alpha / 2) > detectable(n, alpha)


def test_bounds():
    assert seeds_needed(1.0, Spread(0.0, 0.01, 2)) == 2
    assert seeds_needed(1.0, Spread(0.0, 1000.0, 5)) == MOST
    assert seeds_needed(1.0, Spread(0.0, None, 1)) is None
    assert seeds_needed(1.0, Spread(1.0, 0.0, 3)) is None


@pytest.mark.parametrize(
    ("n", "needed", "few"), [(4, 2, True), (5, 5, False), (5, 6, True), (5, None, False), (0, None, True)]
)
def test_underpowered(n, needed, few):
    assert is_underpowered(n, needed) is few
