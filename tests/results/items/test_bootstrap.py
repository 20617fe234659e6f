"""The paired bootstrap, against exact results and against simulations."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from stilts.results.items.bootstrap import RESAMPLES, Difference, difference, resample
from stilts.results.items.keys import Keys, mixed, translated_keys


def mean(means: NDArray[np.float64]) -> NDArray[np.float64]:
    return means[..., 0]


def f1(means: NDArray[np.float64]) -> NDArray[np.float64]:
    return 200 * means[..., 0] / (means[..., 1] + means[..., 2])


def keys_of(items: int, seed: int = 0) -> Keys:
    return mixed(np.uint64(seed), np.arange(items, dtype=np.uint64))


def systems(shift: float, items: int, seed: int = 0) -> NDArray[np.float64]:
    """[2, items, 1]: a baseline's scores, and one that is better by `shift` on average; they share the items' ease."""
    random = np.random.default_rng(seed)
    ease = random.normal(50, 30, items)
    return np.stack([ease + random.normal(0, 5, items), ease + shift + random.normal(0, 5, items)])[..., None]


def test_the_first_row_is_the_sample_itself_and_reruns_are_equal() -> None:
    counts, keys = systems(1, 300), keys_of(300)
    scores = resample(counts, mean, keys)
    assert scores.shape == (1 + RESAMPLES, 2)
    assert scores[0] == pytest.approx(counts[..., 0].mean(axis=1))
    assert np.array_equal(scores, resample(counts, mean, keys))


def test_the_size_of_blocks_does_not_change_the_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, keys = systems(1, 300), keys_of(300)
    whole = resample(counts, mean, keys, resamples=50)
    monkeypatch.setattr("stilts.results.items.bootstrap._BLOCK_BYTES", 8 * 300 * 13)
    assert resample(counts, mean, keys, resamples=50) == pytest.approx(whole, rel=1e-12)


def test_weights_are_poisson_with_mean_1_and_independent() -> None:
    """Item i has the count 1 at place i, so that the means tell the weight of each item in each resample."""
    items = 40
    scores = resample(np.eye(items)[None], lambda means: means @ 10.0 ** np.zeros((items, 1)), keys_of(items))
    assert scores == pytest.approx(np.ones_like(scores))  # shares of the weights
    shares = np.concatenate(
        [resample(np.eye(items)[None], lambda means, i=i: means[..., i], keys_of(items)) for i in range(items)], axis=1
    )[1:]
    weights = shares / np.where(shares > 0, shares, 1).min(axis=1, keepdims=True)
    # Of a resample in which some item has the weight 1, these are the weights themselves.
    assert (np.abs(weights - weights.round()) < 1e-9).mean() > 0.99
    observed = np.bincount(weights.round().astype(int).ravel(), minlength=4)[:4] / weights.size
    assert observed == pytest.approx(stats.poisson.pmf(range(4), 1), abs=0.01)
    between = np.corrcoef(weights.T)[np.triu_indices(items, 1)]
    assert between.std() == pytest.approx(1 / np.sqrt(RESAMPLES), rel=0.1)


@pytest.mark.parametrize("parallel", [False, True])
def test_the_standard_error_of_a_mean_is_the_exact_one(parallel: bool) -> None:
    counts = systems(0, 400)[:1]
    error = resample(counts, mean, keys_of(400), parallel, 20_000)[1:].std()
    assert error == pytest.approx(counts.std() / np.sqrt(400), rel=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_of_a_mean_it_agrees_with_the_paired_t_test(seed: int) -> None:
    """The interval has a third of the width of either system's own, because both are scored on the same items."""
    ours, theirs = systems(0.5, 500, seed)[..., 0]
    scores = resample(systems(0.5, 500, seed), mean, keys_of(500), resamples=10_000)
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
    assert resample(counts, f1, keys_of(2000), resamples=10_000)[1:, 0].std() == pytest.approx(error, rel=0.04)


@pytest.mark.parametrize("parallel", [False, True])
def test_how_many_items_have_counts_is_left_to_chance(parallel: bool) -> None:
    """Few sentences of BUCC's corpora have a pair: their number in a resample varies as the binomial says."""
    counts = np.zeros((1, 20_000, 1), np.uint16)
    counts[0, ::100] = 1
    draws = 20_000 * resample(counts, mean, keys_of(20_000), parallel)[1:, 0]
    assert draws.mean() == pytest.approx(200, rel=0.01)
    assert draws.std() == pytest.approx(np.sqrt(200 * 0.99), rel=0.06)


def test_systems_that_agree_on_every_item_differ_by_nothing_at_all() -> None:
    scores = resample(np.repeat(systems(0, 50)[:1], 2, axis=0), mean, keys_of(50))
    assert difference(scores[:, 0] - scores[:, 1], 50) == Difference(0.0, None, None, None)


@pytest.mark.parametrize("items", [1, 2, 40])
def test_where_nothing_is_right_nothing_varies(items: int) -> None:
    scores = resample(np.zeros((2, items, 1)), mean, keys_of(items))
    assert not scores.any()


def test_a_resample_without_any_item_is_the_whole_test_set() -> None:
    """Of 2 items, both have the weight 0 in 13 % of the resamples: a share of no words at all would be no number."""
    counts = np.array([[[3, 4], [1, 4]]], np.uint16)
    scores = resample(counts, lambda means: means[..., 0] / means[..., 1], keys_of(2))
    assert np.unique(scores).tolist() == pytest.approx(np.unique(scores[np.isfinite(scores)]).tolist())
    assert (scores == 0.5).mean() > 0.13


def test_one_item_has_no_interval() -> None:
    assert difference(np.array([1.0, 2.0, 3.0]), 1) == Difference(1.0, None, None, None)


def test_p_goes_far_below_one_over_the_number_of_resamples() -> None:
    """Holm's adjustment over 40 languages of 10 regimes needs it below 1 / 8,000."""
    scores = resample(systems(3, 500), mean, keys_of(500))
    assert 0 < difference(scores[:, 1] - scores[:, 0], 500).p < 1e-12


@pytest.mark.parametrize("items", [3, 30, 3000])
def test_p_is_below_the_level_exactly_where_the_interval_excludes_0(items: int) -> None:
    """Skewed resamples around differences at the border, where a percentile interval and a t test would disagree."""
    random = np.random.default_rng(items)
    both = set()
    for points in np.linspace(1, 6, 300):
        draws = points + random.gamma(1.0, 1.5, 400) - 1.5
        found = difference(np.array([points, *draws]), items)
        assert (found.p < 0.05) == (found.low > 0)
        both.add(found.p < 0.05)
    assert both == {True, False}


# --- several languages


def test_translations_have_the_same_weights_in_any_order_and_subset() -> None:
    ids = [f"q{i}" for i in range(200)]
    some = np.random.default_rng(1).permutation(200)[:90]
    counts = np.random.default_rng(2).normal(50, 10, (1, 200, 1))
    whole = np.where(np.isin(np.arange(200), some)[None, :, None], counts, 0.0)
    part = resample(counts[:, some], mean, translated_keys([ids[i] for i in some]), True)
    # The same sums of the same weights, over more items: only the number that they are divided by differs.
    ones = np.ones_like(counts)
    total = resample(np.concatenate([whole, whole > 0, ones]), mean, translated_keys(ids), True)
    assert part[:, 0] == pytest.approx(total[:, 0] / total[:, 1])


def test_an_id_that_comes_twice_is_two_items() -> None:
    keys = translated_keys(["a", "b", "a"])
    assert len(set(keys.tolist())) == 3
    assert keys.tolist()[:2] == translated_keys(["a", "b"]).tolist()


def translated(languages: int, items: int, shared: float, random: np.random.Generator) -> NDArray[np.float64]:
    """[languages, items] of differences 0, 100 and -100: a language has English's on a share of the items."""
    drawn = 100.0 * random.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(languages, items))
    same = random.random((languages, items)) < shared
    return np.where(same, drawn[0], drawn)


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.8, 1.0])
def test_the_standard_error_of_a_mean_over_translations_knows_what_they_share(shared: float) -> None:
    """Against the exact one, that of the items' means over languages. Which items are 0 differs by language, and must
    not change which weight an item has."""
    differences = translated(11, 600, shared, np.random.default_rng(3))
    ids = [f"q{i}" for i in range(600)]
    scores = [resample(np.stack([row, 0 * row])[..., None], mean, translated_keys(ids), True) for row in differences]
    mean_row = np.mean([score[:, 0] - score[:, 1] for score in scores], axis=0)
    exact = differences.mean(axis=0).std() / np.sqrt(600)
    assert mean_row[1:].std() == pytest.approx(exact, rel=0.06)


def test_the_standard_error_over_partly_shared_items_is_between() -> None:
    """Seven languages of 500 questions of 1,000, every answer the same in all languages: each question is one item,
    with the weight of as many languages as have it."""
    random = np.random.default_rng(4)
    right = 100.0 * random.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=1000)
    sets = [random.permutation(1000)[:500] for _ in range(7)]
    scores = [
        resample(np.stack([right[rows], 0 * right[rows]])[..., None], mean, translated_keys(map(str, rows)), True)
        for rows in sets
    ]
    mean_row = np.mean([score[:, 0] - score[:, 1] for score in scores], axis=0)
    influence = np.zeros(1000)
    for rows in sets:
        influence[rows] += (right[rows] - right[rows].mean()) / 500 / 7
    assert mean_row[1:].std() == pytest.approx(np.sqrt((influence**2).sum()), rel=0.06)
