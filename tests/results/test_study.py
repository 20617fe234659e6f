"""The study's numbers, against their definitions worked out another way."""

import itertools

import numpy as np
import pytest
from scipy import stats

from stilts.results.study import (
    STUDY,
    bootstrap_improvement,
    bootstrap_interquartile_mean,
    improvement,
    interquartile_mean,
    jackknife,
)


def study(grid, **options):
    return {row["intermediate"]: row for row in grid.tables(**options)["study"].to_pylist()}


def test_the_interquartile_mean_leaves_out_the_lowest_and_highest_quarter():
    scores = np.array([[100.0, 1.0], [2.0, 3.0], [4.0, 0.0], [5.0, -50.0]])
    assert interquartile_mean(scores) == np.mean([1.0, 2.0, 3.0, 4.0])


def test_the_probability_of_improvement_is_that_of_the_rank_sum_test():
    random = np.random.default_rng(1)
    ours, theirs = random.integers(0, 6, size=(5, 3)).astype(float), random.integers(0, 6, size=(4, 3)).astype(float)
    expected = [
        np.mean([(a > b) + (a == b) / 2 for a, b in itertools.product(ours[:, task], theirs[:, task])])
        for task in range(3)
    ]
    assert improvement(ours, theirs) == pytest.approx(100 * np.mean(expected))
    u = [stats.mannwhitneyu(ours[:, task], theirs[:, task]).statistic / 20 for task in range(3)]
    assert improvement(ours, theirs) == pytest.approx(100 * np.mean(u))


def test_a_mean_s_jackknife_is_students_t():
    scores = np.random.default_rng(3).normal(70, 2, size=(5, 4))
    expected = stats.ttest_1samp(scores.mean(axis=1), 0).confidence_interval()
    assert jackknife(lambda matrix: float(matrix.mean()), scores) == pytest.approx(tuple(expected))
    assert jackknife(interquartile_mean, scores[:1]) is None


def test_the_intervals_to_read_know_that_tasks_share_a_seed():
    """If scores differ by seed alone, nine tasks give no more information about the spread over seeds than one."""
    luck = np.array([-2.0, -1.0, 0.5, 1.0, 3.0])
    scores = 60 + luck[:, None] + np.zeros(9)
    low, high = jackknife(interquartile_mean, scores)
    narrow_low, narrow_high = bootstrap_interquartile_mean(scores)
    assert high - low > 2 * (narrow_high - narrow_low)


def test_the_bootstrap_draws_within_tasks():
    """Compared with a plain implementation that resamples one task after the other, as Agarwal et al. do."""
    random = np.random.default_rng(7)
    ours, theirs = random.normal(50, 3, size=(5, 4)), random.normal(49, 3, size=(5, 4))
    middles, wins = [], []
    for _ in range(1500):
        draw = [[column[random.integers(5, size=5)] for column in scores.T] for scores in (ours, theirs)]
        middles.append(stats.trim_mean(np.concatenate(draw[0]), 0.25))
        wins.append(np.mean([(a[:, None] > b).mean() for a, b in zip(*draw, strict=True)]))
    assert bootstrap_interquartile_mean(ours) == pytest.approx(tuple(np.quantile(middles, [0.025, 0.975])), abs=0.3)
    assert bootstrap_improvement(ours, theirs) == pytest.approx(tuple(100 * np.quantile(wins, [0.025, 0.975])), abs=3)


def test_the_intervals_do_not_change_from_call_to_call():
    scores = np.random.default_rng(2).normal(size=(5, 3))
    assert bootstrap_interquartile_mean(scores) == bootstrap_interquartile_mean(scores)
    assert bootstrap_improvement(scores, scores) == bootstrap_improvement(scores, scores)


def test_one_seed_has_no_intervals(grid):
    grid.add_nine("none", 1, 50)
    grid.add_nine("mnli", 1, 60)
    found = study(grid)["mnli"]
    assert (found["tasks"], found["planned"], found["n"]) == (9, 1, 1)
    assert (found["mean"], found["iqm"], found["improvement"]) == (60, 60, 100)
    assert all(found[name] is None for name in STUDY.names if name.endswith(("low", "high", "sd")))


def test_the_benchmarks_average_is_the_summarys(grid):
    for seed, value in enumerate((50.0, 52.0, 57.0)):
        grid.add_nine("none", seed, value)
        grid.add_nine("mnli", seed, value + 1, tatoeba={"de": {"accuracy": 90.0 - value}})
    tables = grid.tables()
    for row in tables["study"].to_pylist():
        [same] = [
            other
            for other in tables["summary"].to_pylist()
            if (other["intermediate"], other["column"]) == (row["intermediate"], "xtreme")
        ]
        assert [row[name] for name in ("n", "mean", "sd", "low", "high")] == [
            same[name] for name in ("n", "mean", "sd", "low", "high")
        ]


def test_a_seed_that_failed_once_is_left_out_and_counted(grid):
    for seed in (1, 2, 3):
        grid.add_nine("none", seed, 50.0 + seed)
        grid.add_nine("mnli", seed, 60.0 + seed, **({"bucc2018": {"de": "missing"}} if seed == 2 else {}))
    found = study(grid)
    assert (found["mnli"]["planned"], found["mnli"]["n"], found["mnli"]["iqm"]) == (3, 2, 62)
    assert (found["none"]["n"], found["none"]["baseline"], found["none"]["improvement"]) == (3, None, None)
    assert (found["mnli"]["baseline"], found["mnli"]["improvement"]) == ("none", 100)
    assert (found["mnli"]["improvement_n"], found["mnli"]["improvement_low"]) == (2, None)
    assert study(grid, baseline="mnli")["none"]["improvement"] == 0


def test_a_study_of_some_tasks_has_no_average_of_the_benchmark(grid):
    for seed in (1, 2):
        grid.add("mnli", "xnli", seed, {"en": {"accuracy": 50.0 + seed}})
        grid.add("mnli", "pawsx", seed, {"en": {"accuracy": 60.0 + seed}})
        grid.add("mnli", "xnli-de", seed, {"de": {"accuracy": 90.0}}, task="xnli", setting="in-language")
        grid.add("squad", "xnli-de", seed, {"de": {"accuracy": 90.0}}, task="xnli", setting="in-language")
    found = study(grid)
    assert (found["mnli"]["tasks"], found["mnli"]["mean"]) == (2, None)
    assert found["mnli"]["iqm"] == pytest.approx(56.5)
    assert (found["squad"]["tasks"], found["squad"]["n"], found["squad"]["iqm"]) == (0, 0, None)


def test_seeds_that_share_an_artifact_count_once_for_each_seed(grid):
    """Retrieval with the base model is one observation, but a task of every seed."""
    for seed in (1, 2, 3):
        grid.add("none", "xnli", seed, {"en": {"accuracy": 50.0 + seed}})
        grid.add("none", "tatoeba", seed, {"de": {"accuracy": 30.0}}, stage="base")
    found = study(grid)["none"]
    assert (found["n"], found["iqm"]) == (3, np.mean([30, 30, 51, 52]))
