"""The best intermediate: chosen on dev, reported on test, beside the oracle."""

import pytest

from stilts.results.best import ONE, PER_TARGET, SCHEMA, best
from stilts.tasks.benchmarks import XTREME


def table(grid, baseline="none"):
    found = best(grid.table(), grid.cells, grid.read_evaluation, baseline)
    assert found.schema == SCHEMA
    return {(row["rule"], row["target"]): row for row in found.to_pylist()}


def add(grid, target, regime, dev, test, seed=1):
    grid.add(regime, target, seed, {code: {"accuracy": test} for code in XTREME.languages[target]}, dev=dev)


def test_dev_chooses_and_test_reports(grid):
    for seed, (none, mnli, squad) in {1: (50, 52, 60), 2: (51, 55, 61), 3: (49, 55, 62)}.items():
        add(grid, "xnli", "none", 70, none, seed)
        add(grid, "xnli", "mnli", 72, mnli, seed)
        add(grid, "xnli", "squad", 71, squad, seed)
    row = table(grid)[PER_TARGET, "xnli"]
    assert (row["intermediate"], row["dev"], row["chosen_by"]) == ("mnli", 72, "dev score of xnli (English)")
    assert (row["candidates"], row["planned"], row["n"]) == (3, 3, 3)
    assert (row["test"], row["baseline_test"], row["note"]) == (54, 50, None)
    assert (row["difference"], row["difference_n"]) == (4, 3)
    # Differences 2, 4 and 6: Student's t with two degrees of freedom.
    assert row["difference_high"] - row["difference"] == pytest.approx(4.302653 * 2 / 3**0.5)
    assert (row["oracle"], row["oracle_test"], row["regret"]) == ("squad", 61, 7)


def test_the_baseline_may_be_best_and_has_no_difference_to_itself(grid):
    for seed in (1, 2):
        add(grid, "xnli", "none", 80, 50, seed)
        add(grid, "xnli", "mnli", 70, 55, seed)
    row = table(grid)[PER_TARGET, "xnli"]
    assert (row["intermediate"], row["difference"], row["difference_n"]) == ("none", None, 0)
    assert (row["regret"], row["note"]) == (5, "is the baseline")
    assert table(grid, "mnli")[PER_TARGET, "xnli"]["difference"] == -5


def test_one_for_all_has_the_best_mean_dev_score_over_targets(grid):
    for regime, dev in {"none": (60, 60), "mnli": (80, 50), "squad": (70, 69), "half": (99, None)}.items():
        add(grid, "xnli", regime, dev[0], 10)
        add(grid, "pawsx", regime, dev[1], 20)
    found = table(grid)
    assert found[PER_TARGET, "xnli"]["intermediate"] == "half"
    assert found[PER_TARGET, "pawsx"]["intermediate"] == "squad"
    assert {found[ONE, target]["intermediate"] for target in ("xnli", "pawsx", "classification")} == {"squad"}
    assert found[PER_TARGET, "pawsx"]["note"] == "dev: 3/4 regimes"


def test_averages_are_of_what_was_chosen(grid):
    for seed, more in {1: 0, 2: 2}.items():
        for regime, (xnli, pawsx) in {"none": (50, 60), "mnli": (58, 61), "squad": (52, 70)}.items():
            add(grid, "xnli", regime, xnli, xnli + more, seed)
            add(grid, "pawsx", regime, pawsx, pawsx + more, seed)
    row = table(grid)[PER_TARGET, "classification"]
    assert (row["intermediate"], row["test"], row["baseline_test"]) == (None, (58 + 70) / 2 + 1, 56)
    assert (row["difference"], row["regret"], row["n"]) == (9, 0, 2)
    assert (PER_TARGET, "xtreme") not in table(grid)


def test_the_average_over_all_targets_is_xtremes(grid):
    for seed in (1, 2):
        grid.add_nine("none", seed, 50.0 + seed)
        grid.add_nine("mnli", seed, 60.0 + seed)
    for (stage, _), record in list(grid.evaluations.items()):
        record["extra"] = {"tuned_f1": 90.0 if "mnli" in stage else 80.0}
    row = table(grid)
    assert row[PER_TARGET, "bucc2018"]["intermediate"] == row[PER_TARGET, "tatoeba"]["intermediate"] == "mnli"
    assert row[PER_TARGET, "xnli"]["note"] == "no dev score"
    assert row[PER_TARGET, "xnli"]["test"] is None
    assert (PER_TARGET, "xtreme") not in row
    assert row[ONE, "xtreme"]["test"] == pytest.approx(61.5)
    assert row[ONE, "xtreme"]["difference"] == pytest.approx(10)


def test_seeds_that_failed_are_counted(grid):
    add(grid, "xnli", "mnli", 70, 50, 1)
    grid.add("mnli", "xnli", 2, {"de": "missing"}, stage="bad", status="diverged", error="loss is NaN")
    row = table(grid)[PER_TARGET, "xnli"]
    assert (row["planned"], row["n"]) == (2, 1)
    assert row["note"] == "dev: 1/2 seeds; test diverged 1/2"


def test_test_data_without_labels_has_a_choice_and_no_number(grid):
    for regime, dev in {"none": 60, "mnli": 70}.items():
        grid.add(regime, "xnli", 1, {"de": "unlabelled"}, dev=dev)
    row = table(grid)[PER_TARGET, "xnli"]
    assert (row["intermediate"], row["test"], row["oracle"], row["regret"]) == ("mnli", None, None, None)
    assert row["note"] == "test unlabelled 1/1"


def test_equal_dev_scores_are_said(grid):
    for regime in ("none", "mnli", "squad"):
        add(grid, "xnli", regime, 60, 50)
    row = table(grid)[PER_TARGET, "xnli"]
    assert row["note"] == "dev: 3 equal, the first taken; is the baseline"


def test_targets_in_other_settings_are_no_part(grid):
    grid.add("none", "xnli-tt", 1, {"de": {"accuracy": 1.0}}, dev=1, task="xnli", setting="translate-train")
    assert table(grid) == {}
