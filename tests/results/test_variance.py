"""The parts of the variance, against the analysis of variance, simulations, and designs that cannot tell them apart."""

from dataclasses import replace

import numpy as np
import pytest

from stilts.results.variance import PARTS, components, share_intervals, shares


def drawn(random, sds, shape=(5, 5)):
    a, b = shape
    first, second, rest = sds
    return first * random.normal(size=(a, 1)) + second * random.normal(size=(1, b)) + rest * random.normal(size=shape)


def test_a_complete_table_gives_the_analysis_of_variance():
    """By hand: mean squares 97/6 of the rows, 13.5 of the columns, and 0.5 of what is left."""
    scored = np.array([[1.0, 3.0], [4.0, 8.0], [6.0, 9.0]])
    assert components(scored) == pytest.approx(
        {"intermediate": (97 / 6 - 0.5) / 2, "target": (13.5 - 0.5) / 3, "residual": 0.5}
    )


@pytest.mark.parametrize("holes", [[], [(0, 0), (1, 2), (3, 3)]])
def test_estimates_are_unbiased_also_where_scores_are_not_there(holes):
    random = np.random.default_rng(3)
    found = []
    for _ in range(500):
        scored = drawn(random, (2.0, 1.0, 0.5), (4, 5))
        scored[tuple(np.array(holes).T) if holes else ([], [])] = np.nan
        found.append([components(scored)[part] for part in PARTS])
    error = np.std(found, axis=0) / 500**0.5
    assert (np.abs(np.mean(found, axis=0) - [4.0, 1.0, 0.25]) < 4 * error).all()


def test_too_few_scores_tell_nothing():
    scored = np.full((3, 3), np.nan)
    np.fill_diagonal(scored, [1.0, 2.0, 4.0])
    assert components(scored) is None


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
        intervals = share_intervals(scored)
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
        assert share_intervals(scored)[part] == pytest.approx(tuple(expected), abs=1.5)


def test_the_phases_change_places_with_the_table():
    scored = drawn(np.random.default_rng(3), (1.0, 2.0, 0.7), (3, 7))
    scored[1, 2] = np.nan
    ours, theirs = share_intervals(scored), share_intervals(scored.T)
    for part, other in (("intermediate", "target"), ("target", "intermediate"), ("residual", "residual")):
        assert ours[part] == pytest.approx(theirs[other], abs=3)


def test_a_phase_whose_seed_has_no_score_is_as_if_it_were_not_there():
    scored = drawn(np.random.default_rng(4), (1.0, 1.0, 1.0), (4, 5))
    with_empty = np.vstack([scored, np.full(5, np.nan)])
    assert share_intervals(with_empty) == share_intervals(scored)


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
    assert share_intervals(scored) == {}


# --- tables


def cross(grid, regime, target, values, retrieval=False):
    """Scores of every pair of intermediate and target seeds; None is a run that failed."""
    for first, row in enumerate(values):
        for second, value in enumerate(row):
            stage = f"{regime}-{target}-i{first}" + ("" if retrieval else f"-s{second}")
            scores = {"en": "missing" if value is None else {"accuracy": value}}
            cell = grid.add(regime, target, second, scores, stage=stage, status="failed" if value is None else None)
            grid.cells[-1] = replace(cell, intermediate_seed=first)


def variance(grid, regime, column="xnli"):
    rows = grid.tables()["variance"].to_pylist()
    return next(row for row in rows if (row["intermediate"], row["column"]) == (regime, column))


def test_crossed_seeds_are_told_apart(grid):
    scored = 50 + drawn(np.random.default_rng(1), (2.0, 1.0, 0.5), (4, 4))
    cross(grid, "mnli", "xnli", scored.tolist())
    found = variance(grid, "mnli")
    parts = components(scored)
    assert [found[f"{part}_sd"] for part in PARTS] == pytest.approx([max(parts[part], 0) ** 0.5 for part in PARTS])
    assert sum(found[f"{part}_share"] for part in PARTS) == pytest.approx(100)
    assert found["total_sd"] ** 2 == pytest.approx(sum(found[f"{part}_sd"] ** 2 for part in PARTS))
    assert (found["intermediate_seeds"], found["target_seeds"], found["planned"], found["n"]) == (4, 4, 16, 16)
    for part in PARTS:
        assert found[f"{part}_share_low"] <= found[f"{part}_share"] <= found[f"{part}_share_high"]


def test_a_negative_estimate_is_0_and_said(grid):
    cross(grid, "mnli", "xnli", [[1.0, 2.0, 9.0], [2.0, 1.0, 8.0], [1.5, 1.5, 8.5]])
    found = variance(grid, "mnli")
    assert (found["intermediate_sd"], found["intermediate_share"]) == (0, 0)
    assert found["note"] == "estimate of intermediate below 0"


def test_a_failed_run_is_counted_and_leaves_the_intervals(grid):
    cross(grid, "mnli", "xnli", [[1.0, 2.0, 9.0], [4.0, None, 12.0], [7.0, 9.0, 15.5]])
    found = variance(grid, "mnli")
    assert (found["planned"], found["n"]) == (9, 8)
    assert found["intermediate_sd"] > 0
    assert found["intermediate_share_low"] < found["intermediate_share"] < found["intermediate_share_high"]
    assert found["note"] == "1 of 9 scores are missing"


def test_scores_that_leave_no_degree_of_freedom_have_no_intervals(grid):
    cross(grid, "mnli", "xnli", [[1.0, 2.0, 5.0], [3.0, None, None], [4.0, None, None]])
    found = variance(grid, "mnli")
    assert found["residual_share_low"] is None
    assert found["note"].endswith("4 of 9 scores are missing: too few for intervals")


def test_designs_that_cannot_tell_say_so(grid):
    for seed in (1, 2, 3):
        own = grid.add("own", "xnli", seed, {"en": {"accuracy": 50.0 + seed}})
        grid.cells[-1] = replace(own, intermediate_seed=seed)
        shared = grid.add("shared", "xnli", seed, {"en": {"accuracy": 50.0 + seed}})
        grid.cells[-1] = replace(shared, intermediate_seed=1)
        grid.add("none", "xnli", seed, {"en": {"accuracy": 50.0 + seed}})
        grid.add("none", "tatoeba", seed, {"en": {"accuracy": 50.0}}, stage="base")
    cross(grid, "crossed", "tatoeba", [[1.0] * 3, [2.0] * 3, [4.0] * 3], retrieval=True)
    remedy = "intermediate_seeds: crossed"
    assert remedy in variance(grid, "own")["note"]
    assert remedy in variance(grid, "shared")["note"]
    assert variance(grid, "none")["note"] == "no intermediate seed: the target's alone varies"
    assert variance(grid, "none", "tatoeba")["note"] == "one artifact: nothing varies"
    retrieval = variance(grid, "crossed", "tatoeba")
    assert retrieval["note"] == "no target stage: the intermediate's seed alone varies"
    assert (retrieval["intermediate_seeds"], retrieval["target_seeds"], retrieval["n"]) == (3, 0, 3)
    for regime, column in (("own", "xnli"), ("shared", "xnli"), ("none", "xnli"), ("crossed", "tatoeba")):
        found = variance(grid, regime, column)
        assert found["total_sd"] > 0
        assert all(found[f"{part}_{number}"] is None for part in PARTS for number in ("sd", "share", "share_low"))
