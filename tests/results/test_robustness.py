"""What noise costs, against numbers worked out by hand."""

import pytest
from scipy import stats

from stilts.results.robustness import robustness_table
from stilts.results.scores import MEAN
from tests.results.conftest import SWAP, acc


def losses(grid, baseline="none"):
    return robustness_table(grid.table(), baseline).to_pylist()


def loss(grid, regime, noise, column=MEAN, baseline="none"):
    [found] = [
        row
        for row in losses(grid, baseline)
        if (row["intermediate"], (row["noise"], row["rate"]), row["language"]) == (regime, noise, column)
    ]
    return found


def said(row, name):
    return row[name], row[f"{name}_sd"]


def test_a_loss_is_paired_by_seed_and_averaged_over_languages(noisy_grid):
    found = loss(noisy_grid, "none", ("swap", 0.1))
    # Clean means 70 and 72, noisy ones 65 and 66.
    assert said(found, "clean") == (71.0, pytest.approx(2**0.5))
    assert said(found, "noisy") == (65.5, pytest.approx(0.5**0.5))
    assert (*said(found, "loss"), found["n"]) == (5.5, pytest.approx(0.5**0.5), 2)
    assert found["loss_percent"] == pytest.approx(100 * (5 / 70 + 6 / 72) / 2)
    assert (found["status"], found["planned"], found["changed_share"]) == ("ok", 2, 0.05)


def test_a_loss_of_one_language(noisy_grid):
    found = loss(noisy_grid, "mnli", ("swap", 0.1), "zh")
    # 70 - 71 and 70 - 67.
    assert (*said(found, "loss"), found["n"]) == (1.0, pytest.approx(8**0.5), 2)
    assert found["loss_percent"] == pytest.approx(100 / 70)


def test_every_number_has_its_interval(noisy_grid):
    found = loss(noisy_grid, "none", ("swap", 0.1))
    for name, values in (("clean", (70, 72)), ("noisy", (65, 66)), ("loss", (5, 6))):
        low, high = stats.t.interval(0.95, 1, loc=sum(values) / 2, scale=stats.sem(values))
        assert (found[f"{name}_low"], found[f"{name}_high"]) == (pytest.approx(low), pytest.approx(high))


def test_losses_are_compared_to_the_baselines_by_seed(noisy_grid):
    found = loss(noisy_grid, "mnli", ("swap", 0.1))
    # The baseline loses 5 and 6, this regime 80 - 76 and 80 - 76.
    assert (found["baseline"], found["difference_n"]) == ("none", 2)
    assert said(found, "loss_difference") == (-1.5, pytest.approx(0.5**0.5))
    none = loss(noisy_grid, "none", ("swap", 0.1))
    assert (none["baseline"], none["loss_difference"], none["difference_n"]) == (None, None, 0)
    turned = loss(noisy_grid, "none", ("swap", 0.1), baseline="mnli")
    assert (turned["baseline"], turned["loss_difference"]) == ("mnli", 1.5)


def test_a_seed_without_a_number_is_left_out_of_the_pairs(noisy_grid):
    noisy_grid.add("squad", "xnli", 1, acc(80, 60), noise={SWAP: {"en": {"accuracy": 70.0}, "zh": "missing"}})
    noisy_grid.add("squad", "xnli", 2, acc(80, 60), noise={SWAP: acc(78, 60)})
    found = loss(noisy_grid, "squad", ("swap", 0.1))
    assert (*said(found, "loss"), found["n"], found["loss_low"]) == (1.0, None, 1, None)
    assert (found["planned"], found["status"], found["difference_n"]) == (2, "missing", 1)
    assert said(found, "clean") == (70, 0)


def test_a_clean_score_of_zero_has_no_percentage(noisy_grid):
    noisy_grid.add("squad", "xnli", 1, acc(0, 0), noise={SWAP: acc(0, 0)})
    found = loss(noisy_grid, "squad", ("swap", 0.1))
    assert (found["loss"], found["loss_percent"]) == (0, None)


def test_seeds_that_share_an_artifact_are_one_observation(grid):
    for seed in (1, 2, 3):
        noise = {SWAP: {"de": {"accuracy": 25.0}}}
        grid.add("none", "tatoeba", seed, {"de": {"accuracy": 30.0}}, stage="base", noise=noise)
    found = loss(grid, "none", ("swap", 0.1))
    assert (*said(found, "loss"), found["n"], found["planned"]) == (5.0, None, 1, 1)
