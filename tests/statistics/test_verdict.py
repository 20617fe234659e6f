"""Verdicts of intervals, and the level that keeps a family of them."""

import math

import pytest

from stilts.statistics.verdict import Region, Verdict, simultaneous_level

S, C, U = Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.UNDECIDED
ABOVE_ZERO = Region(0, open_low=True)
AT_LEAST_ZERO = Region(0)
WITHIN_ONE = Region(-1, 1)


@pytest.mark.parametrize(
    ("region", "interval", "verdict"),
    [
        (ABOVE_ZERO, (0.1, 2), S),
        (ABOVE_ZERO, (0, 2), U),
        (ABOVE_ZERO, (-2, 0), C),
        (AT_LEAST_ZERO, (0, 2), S),
        (AT_LEAST_ZERO, (-2, 0), U),
        (AT_LEAST_ZERO, (-2, -0.1), C),
        (WITHIN_ONE, (-1, 1), S),
        (WITHIN_ONE, (-1.1, 0.5), U),
        (WITHIN_ONE, (1.1, 3), C),
        (WITHIN_ONE, (-3, -1.1), C),
        (WITHIN_ONE, (-3, 3), U),
        (Region(high=2, open_high=True), (-math.inf, 1.9), S),
        (Region(high=2, open_high=True), (2, 3), C),
        (ABOVE_ZERO, None, U),
        (ABOVE_ZERO, (math.nan, math.nan), U),
    ],
)
def test_an_interval_is_inside_outside_or_neither(region: Region, interval: tuple | None, verdict: Verdict) -> None:
    assert region.judge(interval) is verdict


def test_the_distance_is_to_the_nearest_end() -> None:
    assert WITHIN_ONE.distance(0.75) == 0.25
    assert WITHIN_ONE.distance(3) == 2
    assert ABOVE_ZERO.distance(-2) == 2


def test_the_level_is_bonferronis() -> None:
    assert simultaneous_level(1) == 0.95
    assert simultaneous_level(10) == pytest.approx(0.995)
