"""The table of trials, and the best recipe."""

from pathlib import Path

import optuna
import pyarrow.parquet as pq
import pytest
import yaml
from optuna.trial import TrialState, create_trial

from stilts.search.trials import best_recipe, trials_grid, trials_table, write_trials
from tests.search.studies import make_study

FIELDS = ["learning_rate", "batch_size"]


@pytest.fixture
def study() -> optuna.Study:
    return make_study()


def test_every_trial_has_a_row_and_only_completed_ones_a_score(study: optuna.Study) -> None:
    rows = trials_table(study, FIELDS).to_pylist()
    assert [row["state"] for row in rows] == ["done", "stopped", "failed", "done", "running"]
    assert [row["dev"] for row in rows] == [60.0, None, None, 70.0, None]
    assert (rows[0]["seeds"], rows[0]["sd"]) == (2, pytest.approx(2**0.5))
    assert (rows[1]["last_dev"], rows[1]["steps"]) == (40.0, 10), "the score that stopped it"
    assert rows[2]["message"] == "out of memory"
    assert (rows[3]["learning_rate"], rows[3]["batch_size"]) == (3e-4, 16)


def test_completed_trials_are_shown_first_the_best_at_the_top(study: optuna.Study) -> None:
    grid = trials_grid(trials_table(study, FIELDS), "xnli of base")
    assert [row[0] for row in grid.rows] == ["3", "0", "1", "2", "4"]
    assert grid.rows[1][2] == "60.00 ±1.41"
    assert grid.rows[2][2:4] == ("-", "40.00")


def test_a_repeated_trial_names_the_one_whose_results_it_has(study: optuna.Study) -> None:
    study.add_trial(
        create_trial(
            state=TrialState.COMPLETE,
            value=70.0,
            params=study.trials[3].params,
            distributions=study.trials[3].distributions,
            user_attrs={"ended": "done", "scores": [70.0], "same_as": 3},
        )
    )
    grid = trials_grid(trials_table(study, FIELDS), "xnli of base")
    assert {row[0]: row[1] for row in grid.rows}["5"] == "done, as 3"


def test_the_best_recipe_is_yaml_with_its_origin(study: optuna.Study) -> None:
    patch = {"recipes": {"xnli": {"learning_rate": 3e-4}}}
    text = best_recipe(trials_table(study, FIELDS), patch, "lr", "accuracy")
    assert yaml.safe_load(text) == patch
    assert "Trial 3 of the search lr, the best of 2 that ran to the end (5 began)" in text
    assert "accuracy 70.00" in text


def test_files_are_written_without_a_recipe_if_there_is_none(study: optuna.Study, tmp_path: Path) -> None:
    table = trials_table(study, FIELDS)
    names = [path.name for path in write_trials(tmp_path / "a", table, "title", "x: 1\n")]
    assert names == ["trials.parquet", "trials.md", "best.yaml"]
    assert pq.read_table(tmp_path / "a" / "trials.parquet").to_pylist() == table.to_pylist()
    assert [path.name for path in write_trials(tmp_path / "b", table, "title", None)] == ["trials.parquet", "trials.md"]
