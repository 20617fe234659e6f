"""Fieller's interval."""

import numpy as np
import pytest

from stilts.statistics.intervals import t_test
from stilts.statistics.ratio import fieller
from stilts.statistics.spread import spread


def test_its_ends_are_the_ratios_at_which_the_paired_test_turns() -> None:
    above, below = [3.1, 2.7, 3.6, 3.3], [6.0, 5.1, 6.6, 7.0]
    interval = fieller(above, below, 0.9)
    assert interval is not None
    for end in interval:
        found = spread([a - end * b for a, b in zip(above, below, strict=True)])
        assert found is not None
        assert t_test(found) == pytest.approx(0.1)
    assert interval[0] < np.mean(above) / np.mean(below) < interval[1]


@pytest.mark.parametrize(
    ("above", "below"), [([1.0], [2.0]), ([1.0, 2.0, 3.0], [0.1, -0.2, 0.1]), ([1.0, 1.0], [2.0, 2.0])]
)
def test_without_a_bounded_set_there_is_no_interval(above: list[float], below: list[float]) -> None:
    assert fieller(above, below, 0.95) is None


def test_it_covers_as_often_as_it_says() -> None:
    rng, covered, draws = np.random.default_rng(5), 0, 3000
    for _ in range(draws):
        common = rng.normal(size=5)
        interval = fieller(list(4 + common + rng.normal(size=5) / 2), list(8 + common), 0.95)
        assert interval is not None
        covered += interval[0] <= 0.5 <= interval[1]
    assert covered / draws == pytest.approx(0.95, abs=0.015)
