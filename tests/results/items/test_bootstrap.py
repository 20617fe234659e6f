"""The paired bootstrap, against what is known of samples of which it is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from stilts.results.items.bootstrap import RESAMPLES, Difference, difference, resample


def mean(means: NDArray[np.float64]) -> NDArray[np.float64]:
    return means[..., 0]


def f1(means: NDArray[np.float64]) -> NDArray[np.float64]:
    return 200 * means[..., 0] / (means[..., 1] + means[..., 2])


def systems(shift: float, items: int, seed: int = 0) -> NDArray[np.float64]:
    """[2, items, 1]: a baseline's scores, and one that is better by `shift` on average; they share the items' ease."""
    random = np.random.default_rng(seed)
    ease = random.normal(50, 30, items)
    return np.stack([ease + random.normal(0, 5, items), ease + shift + random.normal(0, 5, items)])[..., None]


def test_the_first_row_is_the_sample_itself_and_reruns_are_equal() -> None:
    counts = systems(1, 300)
    scores = resample(counts, mean)
    assert scores.shape == (1 + RESAMPLES, 2)
    assert scores[0] == pytest.approx(counts[..., 0].mean(axis=1))
    assert np.array_equal(scores, resample(counts, mean))


def test_blocks_of_draws_do_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = systems(1, 300)
    whole = resample(counts, mean, 50)
    monkeypatch.setattr("stilts.results.items.bootstrap._BLOCK", 8 * 300 * 7)
    assert resample(counts, mean, 50) == pytest.approx(whole, rel=1e-12)


def test_a_draw_is_a_sample_of_as_many_items() -> None:
    """Items of which each has a digit of its own: a draw's sum tells how often each was taken."""
    counts = 10.0 ** np.arange(5)[None, :, None]
    for total in np.round(5 * resample(counts, mean, 200)[1:, 0]):
        assert sum(int(digit) for digit in str(int(total))) == 5


@pytest.mark.parametrize("seed", range(3))
def test_of_a_mean_it_agrees_with_the_paired_t_test(seed: int) -> None:
    """An interval of a third of the scores' own, because both systems meet the same items."""
    ours, theirs = systems(0.5, 500, seed)[..., 0]
    scores = resample(systems(0.5, 500, seed), mean, 10_000)
    found = difference(scores[:, 0] - scores[:, 1], 500)
    test = stats.ttest_rel(ours, theirs)
    low, high = test.confidence_interval()
    assert found.points == pytest.approx(float(np.mean(ours - theirs)))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.06)
    assert found.p == pytest.approx(test.pvalue, rel=0.15)


def test_of_a_ratio_it_agrees_with_the_delta_method() -> None:
    random = np.random.default_rng(5)
    wanted = random.poisson(3, 2000)
    found = random.poisson(3, 2000)
    right = random.binomial(np.minimum(found, wanted), 0.7)
    counts = np.stack([right, found, wanted], axis=-1)[None].astype(np.uint16)
    score = 2 * right.sum() / (found + wanted).sum()
    residuals = 2 * right - score * (found + wanted)
    error = 100 * residuals.std() * np.sqrt(2000) / (found + wanted).sum()
    assert resample(counts, f1, 10_000)[1:, 0].std() == pytest.approx(error, rel=0.04)


def test_how_many_items_count_anything_is_left_to_chance() -> None:
    """Of BUCC's corpora few sentences have a pair: a sample has as many of them as a binomial gives it."""
    counts = np.zeros((1, 20_000, 1), np.uint16)
    counts[0, ::100] = 1
    draws = 20_000 * resample(counts, mean, 5000)[1:, 0]
    assert draws.mean() == pytest.approx(200, rel=0.01)
    assert draws.std() == pytest.approx(np.sqrt(200 * 0.99), rel=0.04)


def test_systems_that_agree_on_every_item_differ_by_nothing_at_all() -> None:
    scores = resample(np.repeat(systems(0, 50)[:1], 2, axis=0), mean)
    assert difference(scores[:, 0] - scores[:, 1], 50) == Difference(0.0, None, None, None)


def test_where_nothing_is_right_nothing_varies() -> None:
    scores = resample(np.zeros((2, 40, 1)), mean)
    assert not scores.any()


def test_p_goes_far_below_one_over_the_number_of_draws() -> None:
    """Holm's adjustment over 40 languages of 10 regimes needs it below 1 / 8,000."""
    scores = resample(systems(3, 500), mean)
    assert 0 < difference(scores[:, 1] - scores[:, 0], 500).p < 1e-12
