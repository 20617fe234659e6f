"""Notes of a plan: warm-ups that are as long as the training, and input lengths that differ."""

from pathlib import Path
from typing import Any

from stilts.plan.notes import idle_notes, notes, precision_notes
from stilts.train.loop import learning_rate
from tests.plan.conftest import Expand, stage_of


def _notes(expanded: Expand, **fields: Any) -> list[str]:
    return notes(expanded(**fields).graph)


def test_a_default_warmup_never_swallows_a_short_training(expanded: Expand) -> None:
    """SQuAD's 500 steps of warm-up in 20: a tenth of them, and the plan says so."""
    fields = {"intermediates": ["squad"], "recipes": {"squad": {"max_steps": 20}}}
    recipe = stage_of(expanded(**fields), "squad").recipe
    assert (recipe.warmup, recipe.warmup_steps(20)) == (500, 2)
    assert max(learning_rate(recipe, step, 20) for step in range(20)) == recipe.learning_rate
    assert _notes(expanded, **fields) == [
        "squad: the warm-up of 500 steps is as long as the training (about 20 steps) and is shortened to the first 10% "
        "of the steps; set warmup, or train longer"
    ]
    fields["recipes"]["squad"]["warmup"] = 0.1
    assert _notes(expanded, **fields) == []


def test_a_long_warmup_is_kept_where_it_is_said(expanded: Expand) -> None:
    fields = {"intermediates": ["squad"], "recipes": {"squad": {"max_steps": 20, "long_warmup": "keep"}}}
    recipe = stage_of(expanded(**fields), "squad").recipe
    assert max(learning_rate(recipe, step, 20) for step in range(20)) == recipe.learning_rate * 19 / 500
    assert _notes(expanded, **fields) == [
        "squad: the warm-up of 500 steps is as long as the training (about 20 steps) and is kept: the learning rate "
        "ends at 0.04 of 3e-05 and never decays (long_warmup: keep)"
    ]


def test_xtremes_own_warmup_of_tydiqa_is_kept_until_its_length_changes(expanded: Expand) -> None:
    own = {"intermediates": ["none"], "targets": ["tydiqa"]}
    assert stage_of(expanded(**own), "none").recipe.long_warmup == "keep"
    assert [note for note in _notes(expanded, **own) if note.startswith("tydiqa: the warm-up of 500")]
    short = stage_of(expanded(**own, recipe={"max_steps": 20}), "none").recipe
    assert short.warmup_steps(20) == 2
    said = stage_of(expanded(**own, recipe={"max_steps": 20, "long_warmup": "keep"}), "none").recipe
    assert said.warmup_steps(20) == 500


def test_a_warmup_of_most_of_the_training_is_noted(expanded: Expand) -> None:
    assert _notes(expanded, recipe={"warmup": 0.49}) == []
    assert _notes(expanded, recipe={"warmup": 0.999}) == [
        "xnli: the warm-up takes 99.9% of the training (warmup: 0.999); set a smaller fraction, or a number of steps"
    ]


def test_an_interval_of_evaluations_longer_than_the_training_is_noted(expanded: Expand) -> None:
    steps = {"max_steps": 20, "selection": "best-dev"}
    assert _notes(expanded, recipe={**steps, "evaluate_every": 20}) == []
    assert _notes(expanded, recipe={**steps, "evaluate_every": 21}) == [
        "xnli: evaluate_every 21 is more than the training has steps (about 20), so that it is evaluated at its end "
        "only"
    ]
    assert _notes(expanded, recipe={"max_steps": 20, "selection": "last", "evaluate_every": 21}) == []


def test_more_examples_than_the_data_has_are_noted(expanded: Expand) -> None:
    assert _notes(expanded, recipe={"max_examples": 1000}) == []
    assert _notes(expanded, recipe={"max_examples": 1001}) == [
        "xnli: max_examples 1001 has no effect, because the training set has 1000 examples"
    ]


def test_a_field_of_windows_is_noted_where_there_are_none(expanded: Expand) -> None:
    noted = "mnli: recipe.stride has no effect on this training, but changes its key; leave it out"
    stage = {"task": "mnli", "recipe": {"stride": 32}}
    assert _notes(expanded, intermediates={"r": [stage]}) == [noted]
    assert _notes(expanded, intermediates={"r": [{"task": "squad", "recipe": {"stride": 32, "warmup": 0}}]}) == []
    mixed = {"mix": {"tasks": {"mnli": {}, "squad": {}}}, "recipe": {"stride": 32}}
    assert _notes(expanded, intermediates={"r": [mixed]}) == []
    everywhere = {"intermediates": ["mnli", "squad"], "recipe": {"stride": 32, "warmup": 0}}
    assert _notes(expanded, **everywhere) == [noted, noted.replace("mnli", "xnli")]


def test_evaluation_reads_as_much_as_training(expanded: Expand) -> None:
    def lengths(**fields: Any) -> tuple[set[int], set[int]]:
        graph = expanded(targets=["xnli", "tatoeba"], **fields).graph
        trained = {part.recipe.max_length for node in graph.stages() for part in node.spec.parts}
        found = [e for node in graph for e in node.evaluations.values() if e.task == "xnli"]
        return trained, {e.settings["max_length"] for e in found}

    assert lengths(recipe={"max_length": 64}) == ({64}, {64})
    assert lengths(recipes={"xnli": {"max_length": 32}})[1] == {32}
    apart = {"recipe": {"max_length": 64}, "settings": {"xnli": {"max_length": 96}}}
    assert lengths(**apart) == ({64}, {96})
    assert _notes(expanded, **apart) == [
        "xnli: trained with max_length 64 and evaluated with 96 (recipe.max_length, settings.max_length)"
    ]


def test_what_has_no_effect_is_told(expanded: Expand) -> None:
    found = expanded(
        targets=["xnli"],
        recipe={"epochs": 2, "max_steps": 50},
        recipes={"xnli": {"max_tokens": 1000, "epochs": 1}, "pawsx": {"epochs": 1}},
        settings={"pawsx": {"max_length": 64}, "xnli": {"max_length": 64}},
    )
    assert idle_notes(found.experiment, found.graph) == [
        "recipes of tasks that are not trained here have no effect: pawsx",
        "settings of tasks that are not evaluated here have no effect: pawsx",
        "recipe.epochs has no effect, because recipe.max_steps replaces it",
        "recipes.xnli.epochs has no effect, because recipes.xnli.max_tokens replaces it",
    ]


def test_a_missing_path_of_a_task_that_is_not_used_is_noted(expanded: Expand, tmp_path: Path) -> None:
    def idle(**fields: Any) -> list[str]:
        found = expanded(**fields)
        return idle_notes(found.experiment, found.graph)

    (tmp_path / "de.tsv").touch()
    there, nowhere = f"{tmp_path}/{{lang}}.tsv", f"{tmp_path}/nowhere.tsv"
    tasks = {"squad": {"train": nowhere, "dev": there}, "xnli": {"train": there}}
    noted = f"data.tasks.squad.train: {nowhere} does not exist; squad is not used here, so that it has no effect"
    assert idle(data={"tasks": tasks}) == [noted]
    assert idle(data={"tasks": {"squad": {"train": nowhere}}}) == [noted]
    assert idle(data={"tasks": tasks}, intermediates=["squad"]) == []
    assert idle(data={"tasks": {**tasks, "xnli": {"train": nowhere}}}) == []  # the data is on another machine


def test_bf16_on_a_cpu_without_units_for_it_is_noted(expanded: Expand, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("model name : x\nflags : fpu sse2 avx2 avx512f\n")
    new.write_text("model name : x\nflags : fpu sse2 avx2 avx512f avx512_bf16\n")
    graph = expanded(recipe={"precision": "bf16"}).graph
    [note] = precision_notes(graph, old)
    assert "in bf16" in note
    assert "set recipe: {precision: fp32}" in note
    assert precision_notes(graph, new) == []
    assert precision_notes(graph, tmp_path / "none") == []
    assert precision_notes(expanded(recipe={"precision": "fp32"}).graph, old) == []
