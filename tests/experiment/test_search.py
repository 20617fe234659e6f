"""Searches as people declare them: laid over an experiment, every mistake told with its line."""

from pathlib import Path
from typing import Any

import pytest

from stilts.errors import Problems
from stilts.experiment.load import load_experiment, load_tuning
from stilts.experiment.search import Dimension, Search, Tuning, is_whole

GRID = """\
name: grid
seeds: [3, 4]
models:
  xlmr: {hub: a/b, revision: c23d21b}
intermediates: [none, mnli]
targets: [xnli]
recipe: {epochs: 2}
"""
SEARCH = """\
experiment: grid.yaml
name: tuned
recipe: {batch_size: 8}
search:
  target: xnli
  space:
    learning_rate: {low: 1e-5, high: 1e-4, log: true}
    batch_size: {choices: [8, 16]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "search.yaml").write_text(SEARCH)
    return tmp_path


def with_search(folder: Path, text: str, overrides: tuple[str, ...] = ()) -> Tuning:
    patch = folder / "patch.yaml"
    patch.write_text(text)
    return load_tuning(folder / "search.yaml", overrides, patches=[patch])


def problems(folder: Path, text: str) -> str:
    with pytest.raises(Problems) as caught:
        with_search(folder, text)
    return "\n".join(caught.value.messages)


def test_a_search_is_laid_over_its_experiment_and_patches_and_settings_over_both(folder: Path) -> None:
    found = with_search(folder, "seeds: [7]\nsearch: {trials: 5}", ("search.space.batch_size=", "name=mine"))
    assert (found.name, found.seeds, found.search.trials) == ("mine", (7,), 5)
    assert found.recipe.model_dump() == {"epochs": 2, "batch_size": 8}
    assert list(found.search.space.dimensions()) == ["learning_rate"]


def test_a_file_may_declare_experiment_and_search(tmp_path: Path) -> None:
    path = tmp_path / "whole.yaml"
    path.write_text(
        GRID + SEARCH.partition("\n")[2].replace("name: tuned\n", "").replace("recipe: {b", "settings: {}\n#")
    )
    assert load_tuning(path).search.target == "xnli"


def test_an_experiment_has_no_search(folder: Path) -> None:
    with pytest.raises(Problems, match=r"search.yaml:1: experiment: unknown key"):
        load_experiment(folder / "grid.yaml", patches=[folder / "search.yaml"])


def test_mistakes_stand_in_the_file_and_line_that_they_are_in(folder: Path) -> None:
    said = problems(
        folder, "search:\n  trails: 5\n  space:\n    learningrate: {low: 1}\n    warmup: {lo: 0, high: 0.1}"
    )
    assert "patch.yaml:2: search.trails: unknown key; did you mean 'trials'?" in said
    assert "patch.yaml:4: search.space.learningrate: unknown key; did you mean 'learning_rate'?" in said
    assert "patch.yaml:5: search.space.warmup.lo: unknown key; did you mean 'low'?" in said


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("seed: {choices: [1, 2]}", "search.space.seed: unknown key"),
        ("selection: {choices: [last, best-dev]}", "search.space.selection: unknown key"),
        ("batch_size: {choices:, low: 1.5, high: 8}", "batch_size: 1.5 should be a valid integer"),
        ("batch_size: {choices: [8, 0]}", "batch_size: 0 should be greater than 0"),
        ("learning_rate: {low: 0}", "a log range begins above 0"),
        ("learning_rate: {low: 1}", "low 1 must be below high 0.0001"),
        ("learning_rate: {high:}", "give both low and high"),
        ("learning_rate: {low:, high:}", "give low and high, or choices"),
        ("batch_size: {low: 8, high: 16}", "give low and high, or choices"),
        ("batch_size: {choices: [8, 8]}", "a choice is given twice"),
        ("schedule: {low: 1, high: 2}", "schedule is no number: give choices"),
        ("schedule: {choices: [linear, cosine]}", "schedule: cosine should be 'linear' or 'constant'"),
        ("warmup: {low: -0.1, high: 0.1}", "warmup: -0.1 should be greater than or equal to 0"),
        ("epochs: {choices: [1, 2]}\n    max_steps: {choices: [10, 20]}", "epochs and max_steps replace one another"),
        ("probabilities: {mlm: {low: 0.1, high: 1.5}}", "probabilities.mlm: 1.5 should be less than 1"),
    ],
)
def test_what_no_recipe_can_have_is_refused(folder: Path, space: str, said: str) -> None:
    assert said in problems(folder, f"search:\n  space:\n    {space}")


def test_an_empty_space_is_refused(folder: Path) -> None:
    assert "name at least one field" in problems(folder, "search: {space: {learning_rate:, batch_size:}}")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "give target, or intermediate"),
        ({"target": "xnli", "stage": 0}, "stage belongs to intermediate"),
    ],
)
def test_a_search_tunes_one_stage(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Search.model_validate({"space": {"epochs": {"choices": (1, 2)}}, **fields})


def test_the_fields_of_a_mixture_are_tuned_beside_those_of_its_recipe(folder: Path) -> None:
    found = with_search(
        folder, "search: {space: {cap: {low: 1, high: 9}, probabilities: {mlm: {choices: [0.1, 0.2]}}}}"
    )
    names = list(found.search.space.dimensions())
    assert names == ["learning_rate", "batch_size", "cap", "probabilities.mlm"]
    assert [is_whole(name) for name in names] == [False, True, True, False]


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Dimension(low=1, high=2), [1, 1.5, 2], [0.9, 2.1, None, "1"]),
        (Dimension(low=0.1, high=0.5, step=0.2), [0.1, 0.3, 0.5], [0.2, 0.7]),
        (Dimension(choices=(8, 16)), [8, 16], [12, None]),
    ],
)
def test_a_dimension_holds_what_may_be_drawn(dimension: Dimension, inside: list[Any], outside: list[Any]) -> None:
    assert all(map(dimension.holds, inside))
    assert not any(map(dimension.holds, outside))
