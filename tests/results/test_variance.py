"""The parts of the variance, against the analysis of variance, simulations, and designs that cannot tell."""

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


def test_intervals_of_shares_cover_them():
    random = np.random.default_rng(5)
    inside = 0
    for _ in range(200):
        low, high = share_intervals(drawn(random, (1.0, 1.0, 1.0)))["intermediate"]
        inside += low <= 100 / 3 <= high
    assert 0.9 < inside / 200 <= 1.0
    assert share_intervals(np.ones((3, 3))) == {}


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


def test_a_failed_run_takes_the_intervals_and_is_counted(grid):
    cross(grid, "mnli", "xnli", [[1.0, 2.0, 9.0], [4.0, None, 12.0], [7.0, 9.0, 15.5]])
    found = variance(grid, "mnli")
    assert (found["planned"], found["n"]) == (9, 8)
    assert found["intermediate_sd"] > 0
    assert found["intermediate_share_low"] is None
    assert found["note"] == "1 of 9 scores are not there: no intervals"


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
