"""One score per seed: averages of complete sets only, and seeds that share their artifacts as one observation."""

import pytest
from scipy import stats

from stilts.results.scores import (
    MEAN,
    Score,
    average_scores,
    averaged_targets,
    averages_of,
    distinct,
    language_scores,
    official_targets,
    paired,
    rows_of,
    spread_columns,
    spread_of,
    task_scores,
    worst,
)
from stilts.results.table import CLEAN
from stilts.statistics.spread import spread
from stilts.tasks.benchmarks import XTREME, Benchmark

TWO = Benchmark("two", {"xnli": ("en", "de"), "pawsx": ("en", "de")}, {"classification": ("xnli", "pawsx")})
NONE = ("base", "none")


def acc(en, de):
    values = {"en": en, "de": de}
    return {name: {"accuracy": v} if isinstance(v, int | float) else v for name, v in values.items()}


def score(value, *stages, status="ok"):
    return Score(value, status, frozenset(stages))


def rows(grid, split="test"):
    return rows_of(grid.table(), split, CLEAN)


def test_scores_of_a_target_by_language_and_their_mean(grid):
    grid.add("none", "xnli", 1, acc(80.0, 70.0))
    found = language_scores(rows(grid), XTREME)
    assert {column: by_seed[1].value for (_, column), by_seed in found.items()} == {"en": 80, "de": 70, MEAN: 75}


def test_an_average_needs_every_language(grid):
    grid.add("none", "xnli", 1, acc(80.0, "missing"))
    found = task_scores(rows(grid), XTREME)[NONE, "xnli"][1]
    assert (found.value, found.status) == (None, "missing")


def test_another_metric_than_the_main_one_can_be_averaged(grid):
    grid.add("none", "mlqa", 1, {"en": {"exact_match": 40.0, "f1": 60.0}, "de": {"exact_match": 20.0, "f1": 30.0}})
    values = [task_scores(rows(grid), XTREME, metric)[NONE, "mlqa"][1].value for metric in (None, "f1", "exact_match")]
    assert values == [37.5, 45, 30]


def test_only_targets_in_all_languages_of_the_benchmark_are_averaged(grid):
    grid.add("none", "xnli", 1, acc(80.0, 70.0))
    grid.add("none", "pawsx", 1, {"en": {"accuracy": 90.0}})
    grid.add("none", "mine", 1, acc(50.0, 50.0), task="xnli", setting="in-language")
    assert official_targets(rows(grid)) == {"xnli", "pawsx"}
    assert averaged_targets(rows(grid), TWO) == {"xnli"}


def test_an_average_over_tasks_is_for_seeds_that_have_all_tasks():
    scores = {
        (NONE, "xnli"): {1: score(80.0, "a1"), 2: score(70.0, "a2"), 3: score(60.0, "a3")},
        (NONE, "pawsx"): {1: score(90.0, "b1"), 2: score(None, "b2", status="failed")},
    }
    found = average_scores(scores, TWO)
    assert found.keys() == {(NONE, name) for name in averages_of(TWO)} == {(NONE, "classification"), (NONE, "two")}
    assert found[NONE, "two"][1] == score(85.0, "a1", "b1")
    assert found[NONE, "two"][2] == score(None, "a2", "b2", status="failed")
    assert 3 not in found[NONE, "two"], "not planned for all tasks"


def test_seeds_that_share_all_stages_count_once():
    by_seed = {1: score(30.0, "base"), 2: score(30.0, "base"), 3: score(40.0, "other")}
    assert [found.value for found in distinct(by_seed)] == [30, 40]
    assert paired(by_seed, {seed: score(20.0, "none") for seed in by_seed}) == [10, 20]


def test_pairs_are_of_seeds_that_have_a_value_in_both():
    ours = {1: score(70.0, "a"), 2: score(None, "b", status="failed"), 3: score(72.0, "c")}
    theirs = {1: score(68.0, "d"), 2: score(60.0, "e"), 4: score(50.0, "f")}
    assert paired(ours, theirs) == [2]
    assert spread_of(ours.values()) == spread([70.0, 72.0])
    assert spread_of([score(None, "b", status="failed")]) is None


def test_columns_of_a_mean_are_scipys_interval():
    values = [1.0, 2.0, 6.0]
    found = spread_columns("loss", spread(values))
    low, high = stats.t.interval(0.95, 2, loc=3, scale=stats.sem(values))
    assert found == {
        "loss": 3.0,
        "loss_sd": pytest.approx(7**0.5),
        "loss_low": pytest.approx(low),
        "loss_high": pytest.approx(high),
    }
    assert spread_columns("loss", spread([4.0])) == {"loss": 4, "loss_sd": None, "loss_low": None, "loss_high": None}
    assert spread_columns("loss", None) == {}


def test_the_worst_status():
    assert worst(["ok", "missing", "diverged"]) == "diverged"
    assert worst(["ok", "unlabelled"]) == "unlabelled"
