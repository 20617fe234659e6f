"""Declared stages are resolved to their data, mixing and recipe."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stilts.data.prepare import Catalog
from stilts.errors import Problems
from stilts.experiment.mistakes import InvalidExperiment
from stilts.experiment.recipe import SEED_PARTS
from stilts.identity.stage import Mixing, StageSpec
from stilts.plan.expand import Expansion, expand
from stilts.tasks.base import _TASKS, get_task
from tests.plan.conftest import Expand, declare, mistake, stage_of

TRANSLATED = ("de", "sw")


def _mix(tasks: Any, **fields: Any) -> dict[str, Any]:
    return {"r": [{"mix": {"tasks": tasks}, **fields}]}


@pytest.fixture(autouse=True)
def only_some_translations(data: Any) -> None:
    """Two languages have translations; panx has German and Swahili training sets beside English."""
    has = data.has

    def limited(task: Any, split: str, language: str) -> bool:
        if split == "translated":
            return language in TRANSLATED
        if split == "train" and task.name not in ("mlm", "panx"):
            return language == "en"
        if split == "train" and task.name == "panx":
            return language in ("en", "de", "sw")
        return has(task, split, language)

    data.has = limited


# --- mixtures --------------------------------------------------------------------------------------------------


def test_a_mixture_is_one_stage_with_a_part_for_each_task(expanded: Expand) -> None:
    spec = stage_of(expanded(intermediates=_mix(["squad", "mnli", "mlm"], recipe={"max_steps": 50})))
    assert [part.task for part in spec.parts] == ["mlm", "mnli", "squad"]
    assert spec.mixing == Mixing("proportional", 2**17, 2.0, {})
    assert (spec.recipe.max_steps, spec.recipe.learning_rate, spec.recipe.warmup) == (50, 1e-5, 0.1)
    assert [part.recipe.max_length for part in spec.parts] == [128, 128, 384]
    assert [ref.language for ref in spec.parts[0].train] == ["en", "sw"]
    assert [part.dev is not None for part in spec.parts] == [False, True, True]


def test_the_order_of_tasks_does_not_matter(expanded: Expand) -> None:
    one, other = (stage_of(expanded(intermediates=_mix(tasks))) for tasks in (["mnli", "squad"], ["squad", "mnli"]))
    assert one.key == other.key


def test_lengths_are_of_the_task_and_the_rest_of_the_stage(expanded: Expand) -> None:
    tasks = {"mnli": {"recipe": {"max_length": 64}}, "mlm": {"probability": 0.25, "recipe": {"max_examples": 10}}}
    spec = stage_of(expanded(intermediates=_mix(tasks, recipe={"max_length": 100, "batch_size": 8})))
    assert {part.task: part.recipe.max_length for part in spec.parts} == {"mlm": 100, "mnli": 64}
    assert spec.parts[0].rows == 20  # 10 of each language
    assert spec.recipe.batch_size == 8
    assert spec.mixing is not None
    assert spec.mixing.probabilities == {"mlm": 0.25}
    tasks["mnli"]["recipe"] = {"learning_rate": 1e-4}
    assert "mix.tasks.mnli.recipe.learning_rate: all tasks of a mixture share this field" in mistake(
        expanded, intermediates=_mix(tasks)
    )


def test_every_wrong_name_of_a_mixture_is_named(expanded: Expand) -> None:
    message = mistake(expanded, intermediates=_mix(["mnli", "sqad"]))
    assert message == "intermediates.r.0.mix.tasks.sqad: unknown task 'sqad'; did you mean 'squad'?"


def test_a_mixture_that_nothing_selects(expanded: Expand) -> None:
    tasks = ["mlm", "tydiqa"]
    assert "none of its tasks has a dev set" in mistake(expanded, intermediates=_mix(tasks))
    assert stage_of(expanded(intermediates=_mix(tasks, recipe={"selection": "last"}))).parts[0].dev is None


def test_a_task_that_no_step_falls_to_is_refused_before_training(expanded: Expand, data: Any) -> None:
    """1000 questions of SQuAD to 10 of MNLI: of 20 steps MNLI's share is a fifth of one; a budget may do better."""
    tasks = {"mnli": {"recipe": {"max_examples": 10}}, "squad": {}}
    few = {"max_steps": 20}
    wanted = "intermediates.r.0: mixing: mnli gets none of 20 steps (its share is 0.0099); train longer, or give it a "
    assert mistake(expanded, intermediates=_mix(tasks, recipe=few)) == wanted + "probability"
    joint = {"r": {"stages": [{"mix": {"tasks": tasks}}], "budget": {"steps": 20}}}
    assert mistake(expanded, intermediates=joint) == wanted + "probability"
    joint["r"]["budget"] = {"steps": 200}
    assert stage_of(expanded(intermediates=joint, recipe=few)).recipe.max_steps == 200


def test_tasks_that_cannot_share_a_head_are_refused(expanded: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_TASKS, "pawsx", replace(get_task("pawsx"), head="nli"))
    message = mistake(expanded, intermediates=_mix(["mnli", "pawsx"]))
    assert "intermediates.r.0: pawsx would share the head 'nli' with mnli, which has another family or" in message


def test_a_unions_version_rises_with_its_parts(expanded: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its examples are those that the parts' readers make."""
    before = stage_of(expanded(intermediates={"r": ["anli_plus"]}))
    assert before.parts[0].task_version == 1
    monkeypatch.setitem(_TASKS, "mnli", replace(get_task("mnli"), version=2))
    assert stage_of(expanded(intermediates={"r": ["anli_plus"]})).parts[0].task_version == 2


# --- budgets ---------------------------------------------------------------------------------------------------


# --- languages of the training data ------------------------------------------------------------------------------


def _sources(spec: StageSpec) -> list[tuple[str, str]]:
    return [(ref.split, ref.language) for ref in spec.parts[0].train]


def test_translated_data_alone_or_with_english(expanded: Expand) -> None:
    def regime(**fields: Any) -> list[tuple[str, str]]:
        return _sources(stage_of(expanded(intermediates={"r": [{"task": "mnli", "training": "translated", **fields}]})))

    assert sorted(regime()) == [("train", "en"), ("translated", "de"), ("translated", "sw")]
    assert regime(languages=["de", "sw"]) == [("translated", "de"), ("translated", "sw")]
    assert regime(languages=["en", "sw"]) == [("train", "en"), ("translated", "sw")]


def test_a_task_of_a_mixture_may_be_translated(expanded: Expand) -> None:
    tasks = {"mnli": {"training": "translated", "languages": ["de"]}, "squad": {}}
    spec = stage_of(expanded(intermediates=_mix(tasks)))
    assert [[ref.split for ref in part.train] for part in spec.parts] == [["translated"], ["train"]]


def test_languages_of_a_text_stage(expanded: Expand) -> None:
    spec = stage_of(expanded(intermediates={"r": [{"task": "mlm", "languages": ["sw"]}]}))
    assert _sources(spec) == [("train", "sw")]


def test_text_has_no_translation(expanded: Expand) -> None:
    message = mistake(expanded, intermediates={"r": [{"task": "mlm", "training": "translated"}]})
    assert message == ("intermediates.r.0: training: mlm trains on text of any language; list them in languages:")


def test_languages_of_english_training_are_refused(expanded: Expand) -> None:
    message = mistake(expanded, intermediates={"r": [{"task": "mnli", "languages": ["de"]}]})
    assert "mnli is trained on English; for languages, set training" in message


@pytest.mark.parametrize(("training", "field"), [("translated", "translated"), ("in-language", "train")])
def test_without_other_languages_the_message_says_where_to_put_them(
    expanded: Expand, data: Any, training: str, field: str
) -> None:
    data.has = lambda task, split, language: (
        split not in ("train", "translated") or (split, language) == ("train", "en")
    )
    message = mistake(expanded, intermediates={"r": [{"task": "mnli", "training": training}]})
    assert f"data.tasks.mnli.{field}, with {{lang}} in the path" in message


# --- settings of a target ----------------------------------------------------------------------------------------


def test_one_task_in_several_settings(expanded: Expand) -> None:
    expansion = expanded(
        targets={
            "panx": {},
            "panx-own": {"task": "panx", "setting": "in-language", "languages": ["de", "sw"]},
            "panx-all": {"task": "panx", "setting": "in-language-all"},
        }
    )
    cells = {cell.target: cell for cell in expansion.cells}
    assert {cell.task for cell in cells.values()} == {"panx"}
    own = cells["panx-own"].branches
    assert [[spec.language for spec in branch.evaluations] for branch in own] == [["de"], ["sw"]]
    stages = [expansion.graph.nodes[branch.chain[-1]].spec for branch in own]
    assert [_sources(spec) for spec in stages] == [[("train", "de")], [("train", "sw")]]
    assert [branch.selection.language for branch in own if branch.selection] == ["de", "sw"]
    assert [spec.parts[0].dev.language for spec in stages] == ["de", "sw"]
    (together,) = cells["panx-all"].branches
    assert sorted(_sources(expansion.graph.nodes[together.chain[-1]].spec)) == [
        ("train", "de"),
        ("train", "en"),
        ("train", "sw"),
    ]
    assert len(expansion.graph.stages()) == 4


def test_translate_train(expanded: Expand) -> None:
    expansion = expanded(
        targets={
            "one": {"task": "xnli", "setting": "translate-train", "languages": ["en", "de", "sw"]},
            "all": {"task": "xnli", "setting": "translate-train-all", "languages": ["de"]},
        }
    )
    one, together = expansion.cells
    trained = [_sources(expansion.graph.nodes[branch.chain[-1]].spec) for branch in one.branches]
    assert trained == [[("train", "en")], [("translated", "de")], [("translated", "sw")]]
    assert all(branch.selection.language == "en" for branch in one.branches if branch.selection)
    (branch,) = together.branches
    assert len(expansion.graph.nodes[branch.chain[-1]].spec.parts[0].train) == 3


def test_a_named_language_without_a_training_set(expanded: Expand) -> None:
    """A mean over fewer languages than were asked for would look like the one that was."""
    targets = {"own": {"task": "panx", "setting": "in-language", "languages": ["de", "fr"]}}
    message = mistake(expanded, targets=targets)
    assert message == (
        "targets.own: setting in-language: no in-language training set of panx in fr (no train data of panx in fr); "
        "languages: present leaves out languages without one"
    )


@pytest.mark.parametrize("setting", ["in-language", "translate-train"])
def test_a_missing_training_set_is_a_mistake_as_a_missing_test_file_is(expanded: Expand, setting: str) -> None:
    """The mean over languages would be another one, without a word."""
    fields: tuple[dict[str, Any], ...] = ({"languages": "all"}, {"languages": ["en", "de", "fr"]})
    for field in fields:
        message = mistake(expanded, targets={"own": {"task": "panx", "setting": setting}}, **field)
        training = "translated" if setting == "translate-train" else "in-language"
        assert f"targets.own: setting {setting}: no {training} training set of panx in " in message
        assert "fr" in message.partition("(")[0]
        assert "data of panx in " in message


def test_what_the_published_data_lacks_excuses_no_file_of_ones_own(expanded: Expand, data: Any) -> None:
    """UD-POS is published without a training set in Thai; of one's own files each is expected."""
    has = data.has
    data.has = lambda task, split, language: language != "th" and (task.name == "udpos" or has(task, split, language))
    target = {"own": {"task": "udpos", "setting": "in-language", "languages": "all"}}
    files = {"tasks": {"udpos": {"train": "x/{lang}/train.conll"}}}
    assert "test data of udpos in th" in mistake(expanded, targets=target, data=files)
    data.has = lambda task, split, language: (split, language) != ("train", "th")
    assert expanded(targets=target).left_out == {("own", "train"): ("th",)}
    assert "no in-language training set of udpos in th (" in mistake(expanded, targets=target, data=files)


def test_languages_without_a_training_set_are_said_where_they_may_be_left_out(expanded: Expand) -> None:
    expansion = expanded(targets={"own": {"task": "panx", "setting": "in-language"}}, languages="present")
    (cell,) = expansion.cells
    assert [branch.evaluations[0].language for branch in cell.branches] == ["en", "de", "sw"]
    lost = expansion.left_out["own", "train"]
    assert set(lost) == set(get_task("panx").languages) - {"en", "de", "sw"}
    together = expanded(targets={"own": {"task": "panx", "setting": "in-language-all"}})
    assert together.left_out["own", "train"] == lost


def test_languages_without_a_test_file_are_said_where_they_may_be_left_out(expanded: Expand, data: Any) -> None:
    has = data.has
    data.has = lambda task, split, language: (split, language) != ("test", "sw") and has(task, split, language)
    assert expanded(targets=["panx"], languages="present").left_out == {("panx", "test"): ("sw",)}
    assert expanded(targets=["panx"], languages=["de"]).left_out == {}


def test_an_invented_language_may_have_a_training_set(expanded: Expand, data: Any) -> None:
    has = data.has
    data.has = lambda task, split, language: language == "qaa" or has(task, split, language)
    target = {"own": {"task": "panx", "setting": "in-language"}}
    (cell,) = expanded(targets=target, languages=["de", "qaa"]).cells
    assert [branch.evaluations[0].language for branch in cell.branches] == ["de", "qaa"]


def test_settings_of_another_task_are_not_taken_for_the_selection(expanded: Expand) -> None:
    """A target may be called like a task that it is not."""
    odd = {"udpos": {"task": "xnli", "settings": {"max_length": 64}}, "tags": {"task": "udpos"}}
    tags = next(cell for cell in expanded(targets=odd).cells if cell.target == "tags")
    assert tags.branches[0].selection is not None
    assert tags.branches[0].selection.settings["max_length"] == get_task("udpos").settings["max_length"]


def test_retrieval_has_no_setting(expanded: Expand) -> None:
    message = mistake(expanded, targets={"t": {"task": "tatoeba", "setting": "in-language"}})
    assert message == "targets.t: setting: tatoeba has nothing to train"


# --- noise -------------------------------------------------------------------------------------------------------


# --- languages of the benchmark ----------------------------------------------------------------------------------


def test_parts_of_a_seed_are_fixed_or_varied_on_their_own(expanded: Expand) -> None:
    def seeds(**fields: Any) -> list[tuple[int, ...]]:
        stages = expanded(seeds=[1, 2, 3], **fields).graph.stages()
        return sorted(tuple(node.spec.recipe.seed_of(part) for part in SEED_PARTS) for node in stages)

    assert seeds() == [(1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3)]
    assert seeds(seed_parts={"head": 5, "data": 6}) == [(1, 5, 1, 6), (2, 5, 2, 6), (3, 5, 3, 6)]
    assert seeds(seed_parts={"order": [1, 1, 2], "head": [1, 2, 1]}) == [(1, 1, 1, 1), (1, 2, 2, 2), (2, 1, 3, 3)]
    with pytest.raises(InvalidExperiment, match="one number for each of the 3 seeds"):
        seeds(seed_parts={"order": [1, 2]})
    with pytest.raises(InvalidExperiment, match="would train the same models"):
        seeds(seed_parts={"order": 1, "head": 1, "dropout": 1, "data": 1})


def test_pretraining_and_fixed_seeds_ignore_the_parts(expanded: Expand) -> None:
    stage = {"stages": [{"task": "mnli", "seed": 7}]}
    graph = expanded(seeds=[1, 2], intermediates={"r": stage}, seed_parts={"order": 3}).graph
    found = {(node.spec.parts[0].task, node.spec.recipe.seed_of("order")) for node in graph.stages()}
    assert found == {("mnli", 7), ("xnli", 3)}


# --- precedence of lengths -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("general", "special", "expected"),
    [
        ({"max_steps": 20}, {"epochs": 2}, (2.0, None, None)),
        ({"max_tokens": 5000}, {"epochs": 2}, (2.0, None, None)),
        ({"max_tokens": 5000}, {"max_steps": 7}, (5.0, 7, None)),
        ({"epochs": 2}, {"max_steps": 7}, (2.0, 7, None)),
        ({"max_steps": 20}, {"epochs": None}, (None, 20, None)),
        ({"max_steps": 20}, {"epochs": 2, "max_steps": 7}, (2.0, 7, None)),
    ],
)
def test_the_length_of_the_more_special_level_counts(
    expanded: Expand, general: dict[str, Any], special: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    by_task = expanded(intermediates={"r": ["mnli"]}, recipe=general, recipes={"mnli": special})
    by_stage = expanded(intermediates={"r": [{"task": "mnli", "recipe": special}]}, recipe=general)
    for recipe in (stage_of(by_task).recipe, stage_of(by_stage).recipe):
        assert (recipe.epochs, recipe.max_steps, recipe.max_tokens) == expected


def test_epochs_replace_the_steps_of_a_tasks_own_recipe(expanded: Expand) -> None:
    assert get_task("mlm").recipe["max_steps"]
    recipe = stage_of(expanded(intermediates={"r": ["mlm"]}, recipe={"epochs": 1})).recipe
    assert (recipe.epochs, recipe.max_steps) == (1.0, None)


def test_epochs_of_a_mixture_replace_the_steps_of_the_experiment(expanded: Expand) -> None:
    mixed = expanded(intermediates=_mix(["mnli", "squad"], recipe={"epochs": 2}), recipe={"max_steps": 20})
    assert (stage_of(mixed).recipe.epochs, stage_of(mixed).recipe.max_steps) == (2.0, None)


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ({"xquad": {"epochs": 2}}, "recipes.xquad: xquad trains on squad; give recipes.squad"),
        ({"tatoeba": {"epochs": 2}}, "recipes.tatoeba: tatoeba has nothing to train"),
        ({"xnli": {"stride": 10}}, "recipes.xnli: xnli has no stride, so that it would have no effect"),
        ({"mnli": {"mlm_probability": 0.2}}, "recipes.mnli: mnli has no mlm_probability"),
    ],
)
def test_recipes_that_would_have_no_effect_are_refused(expanded: Expand, recipes: dict[str, Any], message: str) -> None:
    with pytest.raises(Problems, match=message):
        expanded(recipes=recipes)
    expanded(recipes={"squad": {"stride": 10}, "mlm": {"language_exponent": 0.5, "mlm_probability": 0.2}})


def test_a_held_out_dev_set_selects_weights_and_regimes(tmp_path: Path) -> None:
    """The published data of TyDiQA has no dev set, so that nothing is chosen by it unless some is held out."""

    def expanded(**data: Any) -> Expansion:
        experiment = declare(targets=["tydiqa"], recipe={"selection": "best-dev"}, data=data)
        return expand(experiment, Catalog(experiment.data, tmp_path))

    assert stage_of(expanded(), "none").parts[0].dev is None
    found = expanded(tasks={"tydiqa": {"held_out": 300}})
    [part] = stage_of(found, "none").parts
    assert part.dev is not None
    assert (part.dev.rows, part.train[0].rows) == (300, 3_396)
    [selection] = {branch.selection for cell in found.cells for branch in cell.branches}
    assert selection is not None
    assert (selection.split, selection.data) == ("dev", part.dev)
