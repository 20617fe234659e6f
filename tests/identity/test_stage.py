"""Identity: what determines the weights moves the key, and nothing else does. The golden keys are on-disk names."""

import pickle
from dataclasses import replace
from typing import Any

import pytest

from stilts.experiment.recipe import SEED_PARTS, Recipe, SeedParts
from stilts.experiment.runtime import Runtime
from stilts.identity import stage as stage_module
from stilts.identity.canonical import EVALUATION_VERSION, KEY_VERSION, TRAINING_VERSION
from stilts.identity.stage import (
    EXAMPLE_FIELDS,
    BaseSpec,
    Condition,
    DataRef,
    EvaluationSpec,
    Mixing,
    Part,
    StageSpec,
    Watched,
)
from stilts.plan.job import StageJob

BASE = BaseSpec({"hub": "FacebookAI/xlm-roberta-base", "revision": "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089"})
TRAIN = DataRef("xnli", "train", "en", "sha256:aa", rows=100, tokens=4000)
DEV = DataRef("xnli", "dev", "en", "sha256:bb", rows=10)
TEST = DataRef("xnli", "test", "de", "sha256:cc", rows=10)
RECIPE = Recipe(learning_rate=3e-5, epochs=5, seed=1)
PART = Part("xnli", 1, (TRAIN,), DEV, RECIPE)
OTHER = Part("mlm", 1, (replace(TRAIN, task="mlm", identity="sha256:ee"),), None, RECIPE)
STAGE = StageSpec(BASE.key, (PART,), None, RECIPE)
MIXTURE = StageSpec(BASE.key, (OTHER, PART), Mixing(probabilities={"mlm": 0.3}), RECIPE)
NOISE = Condition("swap", 0.1)
EVALUATION = EvaluationSpec("xnli", 1, "test", "de", TEST, settings={"max_length": 128})


MOVED = (
    "Keys differ from those that stores hold, so that nothing stored is found. If this change is meant, raise "
    "KEY_VERSION in stilts/identity/canonical.py, write the new keys here, and add a line to CHANGELOG.md."
)


def test_golden_keys() -> None:
    """They name what is stored.

    A change of the code that gives other weights or other scores moves no key by itself: the golden losses of
    `tests/train/test_loop.py` and the golden scores of `tests/tasks/test_golden_scores.py` notice it, and say which
    version to raise. A version that was raised moves the keys, and is written here with them.
    """
    assert (KEY_VERSION, TRAINING_VERSION, EVALUATION_VERSION) == (3, 1, 1), "a version was raised: write it here"
    assert BASE.key == "6e6722912860736b43a7d7f64fbe414997e4e4d174355ec1e18cc97cce52f4eb", MOVED
    assert STAGE.key == "0e11511548ca32f4f12fdc29b6cee5bc5c8a8644e209c710dc580f09ae2bb165", MOVED
    assert MIXTURE.key == "570d0bf5bdf9fa0940ffb296dd7df0b99b3e4834e53018f86e6969bb584712c1", MOVED
    assert EVALUATION.key == "1b7523ce7b3663eace062b475b25e21eb9c19888071088e01ff878b9faa8f610", MOVED
    assert EVALUATION.path == f"evaluations/xnli/test-de-{EVALUATION.key[:12]}", MOVED
    assert TEST.path == "data/xnli/test-de-ee2487f3167a.arrow", MOVED


def test_a_hashed_recipe_has_exactly_these_fields() -> None:
    """A new field moves every key, unless it is left out of the payload where it has its default."""
    fields = [
        "adam_epsilon",
        "batch_size",
        "epochs",
        "evaluate_every",
        "learning_rate",
        "long_warmup",
        "max_grad_norm",
        "max_steps",
        "max_tokens",
        "precision",
        "schedule",
        "seeds",
        "selection",
        "warmup",
        "weight_decay",
    ]
    assert sorted(STAGE.payload()["recipe"]) == fields, MOVED


# --- what bears identity -------------------------------------------------------------------------------------

_RECIPES: dict[str, Any] = {
    "learning_rate": 1e-5,
    "epochs": 4,
    "max_steps": 100,
    "max_tokens": 5000,
    "batch_size": 16,
    "max_length": 256,
    "stride": 64,
    "max_query_length": 32,
    "mlm_probability": 0.2,
    "language_exponent": 0.5,
    "schedule": "constant",
    "warmup": 0.1,
    "long_warmup": "keep",
    "weight_decay": 0.01,
    "adam_epsilon": 1e-6,
    "max_grad_norm": 0.5,
    "precision": "fp32",
    "selection": "last",
    "evaluate_every": 10,
    "max_examples": 50,
    "subset": "first",
    "seed": 2,
    "seed_parts": SeedParts(order=7),
}


def test_every_field_of_a_recipe_is_varied_here() -> None:
    assert set(_RECIPES) == set(Recipe.model_fields)


@pytest.mark.parametrize("name", Recipe.model_fields)
def test_every_field_of_a_recipe_moves_the_key(name: str) -> None:
    recipe = RECIPE.model_copy(update={name: _RECIPES[name]})
    assert StageSpec(BASE.key, (replace(PART, recipe=recipe),), None, recipe).key != STAGE.key


@pytest.mark.parametrize("name", Recipe.model_fields)
def test_each_field_counts_in_the_part_or_in_the_stage(name: str) -> None:
    recipe = RECIPE.model_copy(update={name: _RECIPES[name]})
    in_part = replace(STAGE, parts=(replace(PART, recipe=recipe),)).key != STAGE.key
    in_stage = replace(STAGE, recipe=recipe).key != STAGE.key
    assert (in_part, in_stage) == (name in EXAMPLE_FIELDS, name not in EXAMPLE_FIELDS)


@pytest.mark.parametrize(
    "change",
    [
        {"task": "mnli"},
        {"task_version": 2},
        {"train": (replace(TRAIN, identity="sha256:dd"),)},
        {"train": (replace(TRAIN, language="de"),)},
        {"train": (replace(TRAIN, task="snli"),)},
        {"train": (TRAIN, DEV)},
        {"dev": None},
        {"dev": replace(DEV, identity="sha256:dd")},
    ],
)
def test_what_determines_the_weights_moves_the_key(change: dict[str, Any]) -> None:
    assert replace(STAGE, parts=(replace(PART, **change),)).key != STAGE.key


@pytest.mark.parametrize(
    "change",
    [
        {"parent": "0" * 64},
        {"parts": (PART,)},
        {"mixing": None},
        {"mixing": Mixing(probabilities={"mlm": 0.4})},
        {"mixing": Mixing("uniform", probabilities={"mlm": 0.3})},
        {"mixing": Mixing(cap=10, probabilities={"mlm": 0.3})},
        {"mixing": Mixing(temperature=3.0, probabilities={"mlm": 0.3})},
    ],
)
def test_how_tasks_are_mixed_moves_the_key(change: dict[str, Any]) -> None:
    assert replace(MIXTURE, **change).key != MIXTURE.key


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
        {"condition": NOISE},
    ],
)
def test_what_determines_predictions_moves_the_key(change: dict[str, Any]) -> None:
    assert replace(EVALUATION, **change).key != EVALUATION.key


def test_each_condition_is_an_evaluation_of_its_own() -> None:
    others = [replace(NOISE, kind="drop"), replace(NOISE, rate=0.2), replace(NOISE, seed=1)]
    conditions = [None, NOISE, *others, replace(NOISE, scope="question")]
    specs = [replace(EVALUATION, condition=condition) for condition in conditions]
    assert len({spec.key for spec in specs}) == len({spec.path for spec in specs}) == len(conditions)
    assert specs[1].path == f"evaluations/xnli/test-de-swap@0.1-{specs[1].key[:12]}"
    assert replace(NOISE, scope="question", seed=3).name == "swap@0.1-question-s3"


def varied(recipe: Recipe, part: str) -> StageSpec:
    """A stage whose seed differs in one part alone."""
    recipe = recipe.model_copy(update={"seed_parts": SeedParts(**{part: 9})})
    return replace(STAGE, parts=(replace(PART, recipe=recipe),), recipe=recipe)


def with_recipe(recipe: Recipe) -> StageSpec:
    return replace(STAGE, parts=(replace(PART, recipe=recipe),), recipe=recipe)


@pytest.mark.parametrize("part", SEED_PARTS)
def test_each_part_of_a_seed_moves_the_key_where_it_is_used(part: str) -> None:
    limited = RECIPE.model_copy(update={"max_examples": 50})
    assert varied(limited, part).key != with_recipe(limited).key
    assert (varied(RECIPE, part).key != STAGE.key) == (part != "data")  # nothing is drawn of all examples
    first = RECIPE.model_copy(update={"max_examples": 50, "subset": "first"})
    assert (varied(first, part).key != with_recipe(first).key) == (part != "data")
    masked = RECIPE.model_copy(update={"mlm_probability": 0.15})
    assert varied(masked, part).key != with_recipe(masked).key


def test_a_seed_and_all_of_its_parts_are_one_stage() -> None:
    spelt = RECIPE.model_copy(update={"seed": 4, "seed_parts": SeedParts(order=1, head=1, dropout=1, data=1)})
    assert with_recipe(spelt).key == STAGE.key


def test_a_repair_of_scoring_trains_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_module, "EVALUATION_VERSION", EVALUATION_VERSION + 1)
    assert replace(STAGE).key == STAGE.key
    assert replace(EVALUATION).key != EVALUATION.key
    monkeypatch.setattr(stage_module, "TRAINING_VERSION", TRAINING_VERSION + 1)
    assert replace(STAGE).key != STAGE.key
    assert replace(BASE).key == BASE.key


# --- what does not -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"rows": 7}, {"tokens": 9}, {"rows": None, "tokens": None}, {"labelled": False}])
def test_what_is_only_known_about_data_does_not_move_keys(change: dict[str, Any]) -> None:
    part = replace(PART, train=(replace(TRAIN, **change),), dev=replace(DEV, **change))
    assert replace(STAGE, parts=(part,)).key == STAGE.key
    assert replace(EVALUATION, data=replace(TEST, **change)).key == EVALUATION.key
    assert replace(TEST, **change).path == TEST.path


def test_where_a_base_lies_does_not_move_its_key() -> None:
    assert replace(BASE, source="/elsewhere", text=(TRAIN,)).key == BASE.key
    assert BaseSpec({"files": "ab"}, source="/a").key == BaseSpec({"files": "ab"}, source="/b").key


_RUNTIMES: dict[str, Any] = {
    "engine": "deepspeed",
    "compile": "on",
    "offload": "optimizer",
    "ranks": 4,
    "accelerator": "gpu",
    "cpus_per_rank": 2,
    "max_parallel": 3,
    "zero_stage": 3,
    "tokens_per_micro_batch": 1024,
    "gradient_checkpointing": True,
    "weights": "bf16",
    "checkpoint_seconds": 5,
    "max_retries": 0,
    "stall_seconds": 60,
    "memory_per_rank": 2.0,
    "keep": "all",
    "idle_seconds": 1,
    "trackers": ("mlflow",),
}


@pytest.mark.parametrize("name", Runtime.model_fields)
def test_no_field_of_the_runtime_moves_a_key(name: str) -> None:
    """The job carries both; its specs must come back with the same keys whatever the runtime."""
    runtime = Runtime(**{name: _RUNTIMES[name]})
    assert runtime != Runtime()
    noisy = replace(EVALUATION, condition=NOISE, pool=TRAIN)
    for spec in (STAGE, MIXTURE):
        watched = (Watched(EVALUATION), Watched(noisy, 200))
        job = StageJob("a-0", spec, "b-0", (EVALUATION, noisy), True, False, "/store", runtime, watched=watched)
        again = pickle.loads(pickle.dumps(job))
        assert again == job
        assert again.spec.key == spec.key
        assert [e.key for e in again.evaluations] == [EVALUATION.key, noisy.key]


def test_a_job_of_a_base_round_trips() -> None:
    base = BaseSpec({"init": {"config": {"hidden_size": 8}, "seed": 0}}, text=(TRAIN,))
    job = StageJob("a-0", base, None, (), True, False, "/store", Runtime())
    again = pickle.loads(pickle.dumps(job))
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
        ({"epochs": None}, "give epochs, max_steps or max_tokens"),
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
