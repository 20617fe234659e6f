"""Components of variance, against the analysis of variance worked out by hand, simulations, and scipy's own numbers."""

import numpy as np
import pytest

from stilts.statistics.components import RESIDUAL, components, share_intervals, shares

PARTS = ("intermediate", "target", RESIDUAL)


def flat(scored):
    """Values and levels of a table [intermediate seeds, target seeds], NaN where a score is missing."""
    there = np.nonzero(~np.isnan(scored))
    return scored[there], dict(zip(PARTS, there, strict=False))


def drawn(random, sds, shape=(5, 5)):
    a, b = shape
    first, second, rest = sds
    return first * random.normal(size=(a, 1)) + second * random.normal(size=(1, b)) + rest * random.normal(size=shape)


def test_a_complete_table_gives_the_analysis_of_variance():
    """By hand: mean squares 97/6 of the rows, 13.5 of the columns, and 0.5 of what is left."""
    scored = np.array([[1.0, 3.0], [4.0, 8.0], [6.0, 9.0]])
    assert components(*flat(scored)) == pytest.approx(
        {"intermediate": (97 / 6 - 0.5) / 2, "target": (13.5 - 0.5) / 3, "residual": 0.5}
    )


@pytest.mark.parametrize("holes", [[], [(0, 0), (1, 2), (3, 3)]])
def test_estimates_are_unbiased_also_where_scores_are_not_there(holes):
    random = np.random.default_rng(3)
    found = []
    for _ in range(500):
        scored = drawn(random, (2.0, 1.0, 0.5), (4, 5))
        scored[tuple(np.array(holes).T) if holes else ([], [])] = np.nan
        found.append([components(*flat(scored))[part] for part in PARTS])
    error = np.std(found, axis=0) / 500**0.5
    assert (np.abs(np.mean(found, axis=0) - [4.0, 1.0, 0.25]) < 4 * error).all()


def test_too_few_scores_tell_nothing():
    scored = np.full((3, 3), np.nan)
    np.fill_diagonal(scored, [1.0, 2.0, 4.0])
    assert components(*flat(scored)) is None


def test_shares_take_what_is_negative_for_nothing():
    assert shares({"intermediate": 3.0, "target": -0.5, "residual": 1.0}) == {
        "intermediate": 75.0, "target": 0.0, "residual": 25.0,
    }  # fmt: skip
    assert shares({"intermediate": 0.0, "target": -1.0, "residual": 0.0}) == {}


@pytest.mark.parametrize("sds", [(1.0, 1.0, 1.0), (2.0, 0.5, 0.5)])
@pytest.mark.parametrize("shape", [(5, 5), (3, 10), (10, 3)])
@pytest.mark.parametrize("missing", [0, 4])
def test_intervals_of_shares_cover_them(sds, shape, missing):
    """Also where the phases have different numbers of seeds, and where scores are missing."""
    random = np.random.default_rng(5)
    truth = dict(zip(PARTS, 100 * np.square(sds) / np.sum(np.square(sds)), strict=True))
    found = []
    for _ in range(150):
        scored = drawn(random, sds, shape)
        scored.flat[random.permutation(scored.size)[:missing]] = np.nan
        intervals = share_intervals(*flat(scored))
        found.append([low <= truth[part] <= high for part, (low, high) in intervals.items()])
    assert (np.mean(found, axis=0) > 0.89).all()  # 3.4 standard errors below 0.95


@pytest.mark.parametrize("shape", [(3, 9), (9, 3)])
def test_intervals_are_the_quantiles_of_the_generalized_pivots(shape):
    """Each sum of squares over a chi-squared variable of its degrees of freedom, worked out by mean squares."""
    a, b = shape
    scored = drawn(np.random.default_rng(2), (1.0, 2.0, 0.7), shape)
    mean_square = {"rows": b * scored.mean(axis=1).var(ddof=1), "columns": a * scored.mean(axis=0).var(ddof=1)}
    total = scored.var() * a * b
    rest = total - (a - 1) * mean_square["rows"] - (b - 1) * mean_square["columns"]
    random = np.random.default_rng(8)
    pivot = [
        rest / random.chisquare((a - 1) * (b - 1), 100_000),
        (a - 1) * mean_square["rows"] / random.chisquare(a - 1, 100_000),
        (b - 1) * mean_square["columns"] / random.chisquare(b - 1, 100_000),
    ]
    parts = [np.maximum(pivot[1] - pivot[0], 0) / b, np.maximum(pivot[2] - pivot[0], 0) / a, pivot[0]]
    for part, values in zip(PARTS, parts, strict=True):
        expected = np.quantile(100 * values / sum(parts), [0.025, 0.975])
        assert share_intervals(*flat(scored))[part] == pytest.approx(tuple(expected), abs=1.5)


def test_the_phases_change_places_with_the_table():
    scored = drawn(np.random.default_rng(3), (1.0, 2.0, 0.7), (3, 7))
    scored[1, 2] = np.nan
    ours, theirs = share_intervals(*flat(scored)), share_intervals(*flat(scored.T))
    for part, other in (("intermediate", "target"), ("target", "intermediate"), ("residual", "residual")):
        assert ours[part] == pytest.approx(theirs[other], abs=3)


def test_a_phase_whose_seed_has_no_score_is_as_if_it_were_not_there():
    scored = drawn(np.random.default_rng(4), (1.0, 1.0, 1.0), (4, 5))
    with_empty = np.vstack([scored, np.full(5, np.nan)])
    assert share_intervals(*flat(with_empty)) == share_intervals(*flat(scored))


@pytest.mark.parametrize(
    "scored",
    [
        np.ones((3, 3)),
        np.full((3, 3), np.nan),
        np.array([[1.0, 2.0, 4.0]]),
        np.array([[1.0, 2.0, np.nan], [np.nan, np.nan, 5.0], [np.nan, np.nan, 7.0]]),
        np.array([[1.0, 2.0], [5.0, np.nan]]),
    ],
    ids=["equal", "none", "one seed of a phase", "two tables that share no seed", "no degree of freedom left"],
)
def test_what_cannot_tell_has_no_intervals(scored):
    assert share_intervals(*flat(scored)) == {}


# --- one factor, and more than two


def test_one_factor_against_the_rest_is_the_one_way_analysis_of_variance():
    """By hand: group means 2, 5, 8; mean square between the groups 2 * 9 = 18, within them 2."""
    found = components([1.0, 3.0, 4.0, 6.0, 7.0, 9.0], {"order": [1, 1, 2, 2, 3, 3]})
    assert found == pytest.approx({"order": (18 - 2) / 2, RESIDUAL: 2.0})


def square(n):
    """Four factors in a square of n x n runs (n odd): any two of them meet each pair of levels once."""
    row, column = np.divmod(np.arange(n * n), n)
    return {"order": row, "head": column, "dropout": (row + column) % n, "data": (row + 2 * column) % n}


def test_four_factors_in_a_square_are_told_apart():
    """By hand: effects -1, 0, 1, 0, 0 of `order` and twice that of `data` and nothing else; 5 runs a level.

    The mean square of a factor is 5 * the sum of its squared effects / 4; no residual is left.
    """
    levels, effects = square(5), np.array([-1.0, 0.0, 1.0, 0.0, 0.0])
    values = 60 + effects[levels["order"]] + 2 * effects[levels["data"]]
    expected = {"order": 2 / 4, "head": 0.0, "dropout": 0.0, "data": 8 / 4, RESIDUAL: 0.0}
    assert components(values, levels) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("levels", "sds"),
    [
        ({"order": np.repeat(np.arange(5), 3)}, (1.0, 1.0)),
        ({"order": np.repeat(np.arange(3), 3)}, (2.0, 0.5)),
        (square(5), (1.0, 1.0, 1.0, 1.0, 1.0)),
        (square(5), (2.0, 1.0, 0.5, 0.0, 0.5)),
    ],
    ids=["5 x 3 runs", "3 x 3 runs", "square of equals", "square"],
)
def test_intervals_of_other_designs_cover_the_shares(levels, sds):
    random, found = np.random.default_rng(6), []
    truth = dict(zip([*levels, RESIDUAL], 100 * np.square(sds) / np.sum(np.square(sds)), strict=True))
    for _ in range(150):
        effects = [sd * random.normal(size=of.max() + 1)[of] for sd, of in zip(sds, levels.values(), strict=False)]
        values = sum(effects) + sds[-1] * random.normal(size=len(effects[0]))
        intervals = share_intervals(values, levels)
        found.append([low <= truth[part] <= high for part, (low, high) in intervals.items()])
    assert np.shape(found)[1] == len(levels) + 1
    assert (np.mean(found, axis=0) > 0.89).all()  # 3.4 standard errors below 0.95


def test_factors_that_vary_together_are_not_told_apart():
    values, levels = [1.0, 2.0, 4.0, 7.0], {"order": [1, 1, 2, 2], "head": [5, 5, 6, 6]}
    assert components(values, levels) is None
    assert share_intervals(values, levels) == {}
