"""Identity: what determines the weights moves the key, and nothing else does. The golden keys are on-disk names."""

from dataclasses import replace
from typing import Any

import pytest

from stilts.plan.job import StageJob
from stilts.spec.canonical import KEY_VERSION
from stilts.spec.recipe import Recipe
from stilts.spec.runtime import Runtime
from stilts.spec.stage import BaseSpec, DataRef, EvaluationSpec, StageSpec

BASE = BaseSpec({"hub": "FacebookAI/xlm-roberta-base", "revision": "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089"})
TRAIN = DataRef("xnli", "train", "en", "sha256:aa", rows=100, tokens=4000)
DEV = DataRef("xnli", "dev", "en", "sha256:bb", rows=10)
TEST = DataRef("xnli", "test", "de", "sha256:cc", rows=10)
STAGE = StageSpec(BASE.key, "xnli", 1, (TRAIN,), DEV, Recipe(learning_rate=3e-5, epochs=5, seed=1))
EVALUATION = EvaluationSpec("xnli", 1, "test", "de", TEST, settings={"max_length": 128})


def test_golden_keys() -> None:
    """They name what is stored. They move only together with KEY_VERSION, and then so does this test."""
    assert KEY_VERSION == 1
    assert BASE.key == "a18ea92495f2f28a7c51aae3b5928dbb89d49f94ed8aa5eefa5dc57c2b0c7818"
    assert STAGE.key == "7eae90108088d64eac7d81b70e2ef1c82863cc01fe032c6bc9df79edefe99f8a"
    assert EVALUATION.key == "0036d523aa2f0e30e834b233daf41e9a37a59bb57904858f8be67fcb72a75a03"
    assert EVALUATION.path == f"evaluations/xnli/test-de-{EVALUATION.key[:12]}"
    assert TEST.path == "data/xnli/test-de-ee2487f3167a.arrow"


def test_a_hashed_recipe_has_exactly_these_fields() -> None:
    """A new field moves every key: give it a form that leaves old keys alone, or raise KEY_VERSION."""
    assert sorted(STAGE.payload()["recipe"]) == [
        "adam_epsilon",
        "batch_size",
        "epochs",
        "evaluate_every",
        "language_exponent",
        "learning_rate",
        "max_examples",
        "max_grad_norm",
        "max_length",
        "max_query_length",
        "max_steps",
        "mlm_probability",
        "precision",
        "schedule",
        "seed",
        "selection",
        "stride",
        "warmup",
        "weight_decay",
    ]


# --- what bears identity -------------------------------------------------------------------------------------

_RECIPES: dict[str, Any] = {
    "learning_rate": 1e-5,
    "epochs": 4,
    "max_steps": 100,
    "batch_size": 16,
    "max_length": 256,
    "stride": 64,
    "max_query_length": 32,
    "mlm_probability": 0.2,
    "language_exponent": 0.5,
    "schedule": "constant",
    "warmup": 0.1,
    "weight_decay": 0.01,
    "adam_epsilon": 1e-6,
    "max_grad_norm": 0.5,
    "precision": "fp32",
    "selection": "last",
    "evaluate_every": 10,
    "max_examples": 50,
    "seed": 2,
}


def test_every_field_of_a_recipe_is_varied_here() -> None:
    assert set(_RECIPES) == set(Recipe.model_fields)


@pytest.mark.parametrize("name", Recipe.model_fields)
def test_every_field_of_a_recipe_moves_the_key(name: str) -> None:
    recipe = Recipe(**{**STAGE.recipe.model_dump(), name: _RECIPES[name]})
    assert replace(STAGE, recipe=recipe).key != STAGE.key


@pytest.mark.parametrize(
    "change",
    [
        {"parent": "0" * 64},
        {"task": "mnli"},
        {"task_version": 2},
        {"train": (replace(TRAIN, identity="sha256:dd"),)},
        {"train": (replace(TRAIN, language="de"),)},
        {"train": (TRAIN, DEV)},
        {"dev": None},
        {"dev": replace(DEV, identity="sha256:dd")},
    ],
)
def test_what_determines_the_weights_moves_the_key(change: dict[str, Any]) -> None:
    assert replace(STAGE, **change).key != STAGE.key


@pytest.mark.parametrize(
    "change",
    [
        {"task": "mnli"},
        {"task_version": 2},
        {"split": "dev"},
        {"language": "fr"},
        {"data": replace(TEST, identity="sha256:dd")},
        {"tune": DEV},
        {"settings": {"max_length": 256}},
        {"settings": {}},
    ],
)
def test_what_determines_predictions_moves_the_key(change: dict[str, Any]) -> None:
    assert replace(EVALUATION, **change).key != EVALUATION.key


# --- what does not -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"rows": 7}, {"tokens": 9}, {"rows": None, "tokens": None}, {"labelled": False}])
def test_what_is_only_known_about_data_does_not_move_keys(change: dict[str, Any]) -> None:
    assert replace(STAGE, train=(replace(TRAIN, **change),), dev=replace(DEV, **change)).key == STAGE.key
    assert replace(EVALUATION, data=replace(TEST, **change)).key == EVALUATION.key
    assert replace(TEST, **change).path == TEST.path


def test_where_a_base_lies_does_not_move_its_key() -> None:
    assert replace(BASE, source="/elsewhere", text=(TRAIN,)).key == BASE.key
    assert BaseSpec({"files": "ab"}, source="/a").key == BaseSpec({"files": "ab"}, source="/b").key


_RUNTIMES: dict[str, Any] = {
    "ranks": 4,
    "accelerator": "gpu",
    "cpus_per_rank": 2,
    "max_parallel": 3,
    "zero_stage": 3,
    "tokens_per_micro_batch": 1024,
    "gradient_checkpointing": True,
    "checkpoint_seconds": 5,
    "max_retries": 0,
    "keep": "all",
    "idle_seconds": 1,
}


@pytest.mark.parametrize("name", Runtime.model_fields)
def test_no_field_of_the_runtime_moves_a_key(name: str) -> None:
    """The job carries both; its specs must come back with the same keys whatever the runtime."""
    runtime = Runtime(**{name: _RUNTIMES[name]})
    assert runtime != Runtime()
    job = StageJob("a-0", STAGE, "b-0", (EVALUATION,), True, False, "/store", runtime)
    again = StageJob.from_json(job.to_json())
    assert again == job
    assert again.spec.key == STAGE.key
    assert again.evaluations[0].key == EVALUATION.key


def test_a_job_of_a_base_round_trips() -> None:
    base = BaseSpec({"init": {"config": {"hidden_size": 8}, "seed": 0}}, text=(TRAIN,))
    job = StageJob("a-0", base, None, (), True, False, "/store", Runtime())
    again = StageJob.from_json(job.to_json())
    assert again == job
    assert isinstance(again.spec, BaseSpec)
    assert again.spec.text == (TRAIN,)
    assert again.spec.text[0].rows == 100


# --- equal values, equal keys ----------------------------------------------------------------------------------


def test_whole_numbers_and_order_do_not_move_keys() -> None:
    same = Recipe(seed=1, epochs=5.0, learning_rate=0.00003, warmup=0)
    assert replace(STAGE, recipe=same).key == STAGE.key
    settings = {"a": 1, "b": 2.0}
    assert replace(EVALUATION, settings=settings).key == replace(EVALUATION, settings={"b": 2, "a": 1.0}).key


@pytest.mark.parametrize("bad", [{"x": float("nan")}, {1: 2}, {"x": {1, 2}}, {"x": b""}])
def test_what_has_no_canonical_form_has_no_key(bad: dict) -> None:
    with pytest.raises(ValueError, match=r"canonical form|not a string"):
        _ = replace(EVALUATION, settings=bad).key
    with pytest.raises(ValueError, match=r"canonical form|not a string"):
        _ = BaseSpec(bad).key


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": None}, "give epochs or max_steps"),
        ({"stride": 128, "max_length": 128}, "stride 128 must be smaller than max_length 128"),
        ({"batch_size": 0}, "greater than 0"),
        ({"max_length": 7}, "greater than or equal to 8"),
        ({"learning_rate": float("nan")}, "greater than 0"),
        ({"learning_rat": 1}, "Extra inputs"),
    ],
)
def test_recipes_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**fields)
