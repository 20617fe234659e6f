"""The table `variance`: designs that tell sources of the variance apart, and those that do not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stilts.results.table import build_table
from stilts.results.variance import PARTS, PHASES, variance_table
from stilts.statistics.components import RESIDUAL, components

SOURCES = (*PHASES, RESIDUAL)


def drawn(random, sds, shape):
    a, b = shape
    first, second, rest = sds
    return first * random.normal(size=(a, 1)) + second * random.normal(size=(1, b)) + rest * random.normal(size=shape)


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
    firsts, seconds = np.divmod(np.arange(16), 4)
    parts = components(scored.ravel(), {"intermediate": firsts, "target": seconds})
    assert [found[f"{part}_sd"] for part in SOURCES] == pytest.approx([max(parts[part], 0) ** 0.5 for part in SOURCES])
    assert sum(found[f"{part}_share"] for part in SOURCES) == pytest.approx(100)
    assert found["total_sd"] ** 2 == pytest.approx(sum(found[f"{part}_sd"] ** 2 for part in SOURCES))
    assert (found["intermediate_seeds"], found["target_seeds"], found["planned"], found["n"]) == (4, 4, 16, 16)
    for part in SOURCES:
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


# --- parts of the seed


def own(grid, values, regime="none", stages=None):
    """A run for each value, with seeds 1, 2, ...; None is a run that failed."""
    for seed, value in enumerate(values, 1):
        scores = {"en": "missing" if value is None else {"accuracy": value}}
        stage = stages[seed - 1] if stages else None
        grid.add(regime, "xnli", seed, scores, stage=stage, status="failed" if value is None else None)


def of_parts(grid, regime="none", **lists: Any):
    """The row of xnli where `seed_parts` has these lists, or fixed numbers; other parts follow the seed."""
    seeds = {cell.seed for cell in grid.cells}
    parts = {
        seed: {
            part: (lists[part][seed - 1] if isinstance(lists[part], list) else lists[part]) if part in lists else seed
            for part in ("order", "head", "dropout", "data")
        }
        for seed in seeds
    }
    results: pa.Table = build_table("study", grid.cells, grid.statuses, grid.read_evaluation, seed_parts=parts)
    rows = variance_table(results).to_pylist()
    return next(row for row in rows if (row["intermediate"], row["column"]) == (regime, "xnli"))


def nothing_told(row):
    return all(row[f"{part}_{number}"] is None for part in PARTS for number in ("sd", "share", "share_low"))


def test_one_part_alone_has_its_standard_deviation_with_an_interval(grid):
    """By hand: squares 1 + 0 + 1 + 4 + 4 = 10 over 4; chi-squared quantiles 11.143 and 0.4844."""
    own(grid, [59.0, 60.0, 61.0, 62.0, 58.0])
    found = of_parts(grid, order=1, head=1, data=1)
    assert found["varied"] == "dropout"
    assert found["total_sd"] == pytest.approx(2.5**0.5)
    assert found["total_sd_low"] == pytest.approx((10 / 11.143) ** 0.5, rel=1e-3)
    assert found["total_sd_high"] == pytest.approx((10 / 0.4844) ** 0.5, rel=1e-3)
    assert nothing_told(found)
    assert "together" not in found["note"]


def test_a_part_whose_seeds_repeat_is_told_apart_from_the_rest(grid):
    """By hand: mean square between the orders 18, within them 2."""
    own(grid, [61.0, 63.0, 64.0, 66.0, 67.0, 69.0])
    found = of_parts(grid, order=[1, 1, 2, 2, 3, 3], data=1)
    assert found["varied"] == "order, head, dropout"
    assert (found["order_sd"], found["residual_sd"]) == (pytest.approx(8**0.5), pytest.approx(2**0.5))
    assert (found["order_share"], found["residual_share"]) == (pytest.approx(80), pytest.approx(20))
    assert 0 <= found["order_share_low"] < 80 < found["order_share_high"] <= 100
    assert found["total_sd"] == pytest.approx(10**0.5)
    assert found["total_sd_low"] is found["head_sd"] is found["intermediate_sd"] is None
    assert found["note"].endswith("the residual includes head and dropout")


def test_two_parts_that_are_crossed_are_told_apart(grid):
    """The numbers of `test_a_complete_table_gives_the_analysis_of_variance`, one row of the table after the other."""
    own(grid, [1.0, 3.0, 4.0, 8.0, 6.0, 9.0])
    found = of_parts(grid, order=[1, 1, 2, 2, 3, 3], head=[1, 2, 1, 2, 1, 2], dropout=1, data=1)
    variances = {"order": (97 / 6 - 0.5) / 2, "head": (13.5 - 0.5) / 3, "residual": 0.5}
    for part, value in variances.items():
        assert found[f"{part}_sd"] ** 2 == pytest.approx(value)
        assert found[f"{part}_share"] == pytest.approx(100 * value / sum(variances.values()))
        assert found[f"{part}_share_low"] < found[f"{part}_share"] < found[f"{part}_share_high"]
    assert found["note"] == "no intermediate seed: the target's alone varies"


def test_a_failed_run_of_crossed_parts_is_said(grid):
    own(grid, [1.0, 3.0, 4.0, None, 6.0, 9.0])
    found = of_parts(grid, order=[1, 1, 2, 2, 3, 3], head=[1, 2, 1, 2, 1, 2], dropout=1, data=1)
    assert found["n"] == 5
    assert found["order_sd"] > 0
    assert found["note"].endswith("1 of 6 scores are missing")


def test_parts_that_vary_together_are_said(grid):
    own(grid, [59.0, 60.0, 61.0, 62.0])
    for lists in ({"dropout": 1, "data": 1}, {"order": [4, 3, 2, 1], "dropout": 1, "data": 1}):
        found = of_parts(grid, **lists)
        assert "order and head vary together" in found["note"]
        assert found["total_sd_low"] < found["total_sd"] < found["total_sd_high"]
        assert nothing_told(found)
    found = of_parts(grid, order=[1, 1, 2, 2], head=[7, 7, 8, 8], data=1)
    assert "the seeds of order and head do not combine enough to tell the parts apart" in found["note"]
    assert nothing_told(found)


def test_a_part_that_the_training_does_not_use_varies_nothing(grid):
    own(grid, [60.0] * 3, stages=["same"] * 3)
    found = of_parts(grid, order=1, head=1, dropout=1)
    assert (found["varied"], found["planned"], found["total_sd"]) == (None, 1, None)
    assert found["note"] == "one artifact: nothing varies"


def test_without_seed_parts_all_parts_vary(grid):
    own(grid, [59.0, 60.0, 61.0])
    assert variance(grid, "none")["varied"] == "order, head, dropout, data"
    assert variance(grid, "none")["note"] == "no intermediate seed: the target's alone varies"
