"""What the choice of a checkpoint costs, against numbers worked out by hand."""

import pytest
from scipy import stats

from stilts.results.learning.selection import selection_table
from tests.results.learning.conftest import DE, ZH, only, target_stage


def test_one_seed_on_one_split() -> None:
    table = selection_table([target_stage(scores={("dev", "de"): DE, ("dev", "zh"): ZH})])
    de, zh, mean = (only(table, 1, language) for language in ("de", "zh", "mean"))
    # Means of the checkpoints: 37.5, 43, 44; the last is the best for both together, and for German.
    assert [de[name] for name in ("best_dev", "last", "oracle", "shared")] == [45, 55, 55, 55]
    assert [zh[name] for name in ("best_dev", "last", "oracle", "shared")] == [41, 33, 41, 33]
    assert [mean[name] for name in ("best_dev", "last", "oracle", "shared")] == [43, 44, 48, 44]
    assert [mean[name] for name in ("cost", "shared_cost", "gain")] == [5, 1, -1]
    assert (de["oracle_step"], zh["oracle_step"], mean["oracle_step"], mean["shared_step"]) == (30, 20, None, 30)
    assert {row["chosen_on"] for row in (de, zh, mean)} == {"dev"}
    assert (mean["checkpoints"], mean["steps"], mean["best_dev_step"]) == (3, 30, 20)


def test_what_is_chosen_on_dev_is_told_by_test() -> None:
    scores = {
        ("dev", "de"): DE,
        ("dev", "zh"): ZH,
        ("test", "de"): [44.0, 48.0, 46.0],
        ("test", "zh"): [30.0, 31.0, 39.0],
    }
    table = selection_table([target_stage(scores=scores)])
    de, mean = only(table, 1, "de", "test"), only(table, 1, "mean", "test")
    assert (de["chosen_on"], de["best_dev"], de["oracle"], de["cost"]) == ("dev", 48, 46, -2)
    assert (mean["best_dev"], mean["shared"], mean["oracle"]) == (39.5, 42.5, 38.5)


def test_english_dev_has_no_oracle_but_itself() -> None:
    english = only(selection_table([target_stage()]), 1, "en")
    assert (english["status"], english["best_dev"], english["last"], english["gain"]) == ("ok", 70, 60, 10)
    assert english["oracle"] is english["cost"] is None


def test_over_seeds_there_are_intervals_of_the_differences() -> None:
    scores = [{("dev", "de"): [40.0, 45.0, last]} for last in (46.0, 47.0, 51.0)]
    table = selection_table([target_stage(seed, found) for seed, found in enumerate(scores)])
    row = only(table, None, "de")
    assert (row["n"], row["planned"], row["cost"], row["status"]) == (3, 3, 3, "ok")
    low, high = stats.t.interval(0.95, 2, loc=3, scale=stats.sem([1, 2, 6]))
    assert (row["cost_low"], row["cost_high"]) == (pytest.approx(low), pytest.approx(high))
    assert row["cost_sd"] == pytest.approx(7**0.5)


def test_seeds_without_numbers_are_counted_and_say_why() -> None:
    both: dict[tuple[str, str], list[float]] = {("dev", "de"): DE, ("dev", "zh"): ZH}
    stages = [
        target_stage(1, both),
        target_stage(2, {("dev", "de"): DE}),
        target_stage(3, status="diverged", record=None),
        target_stage(4, {("dev", "de"): DE}, status="missing", record=None),
    ]
    table = selection_table(stages)
    over = only(table, None, "de")
    assert (over["n"], over["planned"], over["cost"], over["status"]) == (1, 4, 10, "diverged")
    assert (over["cost_sd"], over["cost_low"]) == (None, None)
    statuses = [only(table, seed, "de")["status"] for seed in (1, 2, 3, 4)]
    assert statuses == ["ok", "no language curves", "diverged", "missing"]
    assert only(table, None, "en")["n"] == 2


def test_a_curve_that_lacks_checkpoints_is_none() -> None:
    """A run that was started without curves and resumed with them leaves such a record."""
    stage = target_stage(scores={("dev", "de"): DE})
    assert stage.record is not None
    del stage.record["dev"]["languages"]["curve"][0]
    assert only(selection_table([stage]), 1, "mean")["status"] == "no language curves"


def test_a_stage_without_dev_evaluations_took_its_last_weights() -> None:
    stage = target_stage()
    assert stage.record is not None
    stage.record["dev"]["curve"] = []
    table = selection_table([stage])
    assert {row["status"] for row in table.to_pylist()} == {"last weights"}
