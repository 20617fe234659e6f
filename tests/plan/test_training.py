"""Regimes and settings: what each declared stage is trained on, and what it may cost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stilts.errors import Problems
from stilts.experiment.mistakes import InvalidExperiment
from stilts.experiment.recipe import SEED_PARTS
from stilts.identity.stage import Mixing, StageSpec
from stilts.plan.expand import Expansion
from stilts.plan.notes import notes
from stilts.tasks.base import _TASKS, get_task, words
from stilts.tasks.families import get_family
from stilts.train.loop import learning_rate

Expand = Callable[..., Expansion]

TRANSLATED = ("de", "sw")


def _stage(expansion: Expansion, regime: str = "r", position: int = 0) -> StageSpec:
    """A regime's stage by its position in the chain."""
    cell = next(cell for cell in expansion.cells if cell.intermediate == regime)
    spec = expansion.graph.nodes[cell.branches[0].chain[1 + position]].spec
    assert isinstance(spec, StageSpec)
    return spec


def _mix(tasks: Any, **fields: Any) -> dict[str, Any]:
    return {"r": [{"mix": {"tasks": tasks}, **fields}]}


def _problem(expanded: Expand, **fields: Any) -> str:
    with pytest.raises(Problems) as caught:
        expanded(**fields)
    (message,) = caught.value.messages
    return message


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
    spec = _stage(expanded(intermediates=_mix(["squad", "mnli", "mlm"], recipe={"max_steps": 50})))
    assert [part.task for part in spec.parts] == ["mlm", "mnli", "squad"]
    assert spec.mixing == Mixing("proportional", 2**17, 2.0, {})
    assert (spec.recipe.max_steps, spec.recipe.learning_rate, spec.recipe.warmup) == (50, 1e-5, 0.1)
    assert [part.recipe.max_length for part in spec.parts] == [128, 128, 384]
    assert [ref.language for ref in spec.parts[0].train] == ["en", "sw"]
    assert [part.dev is not None for part in spec.parts] == [False, True, True]


def test_the_order_of_tasks_does_not_matter(expanded: Expand) -> None:
    one, other = (_stage(expanded(intermediates=_mix(tasks))) for tasks in (["mnli", "squad"], ["squad", "mnli"]))
    assert one.key == other.key


def test_lengths_are_of_the_task_and_the_rest_of_the_stage(expanded: Expand) -> None:
    tasks = {"mnli": {"recipe": {"max_length": 64}}, "mlm": {"probability": 0.25, "recipe": {"max_examples": 10}}}
    spec = _stage(expanded(intermediates=_mix(tasks, recipe={"max_length": 100, "batch_size": 8})))
    assert {part.task: part.recipe.max_length for part in spec.parts} == {"mlm": 100, "mnli": 64}
    assert spec.parts[0].rows == 20  # 10 of each language
    assert spec.recipe.batch_size == 8
    assert spec.mixing is not None
    assert spec.mixing.probabilities == {"mlm": 0.25}
    tasks["mnli"]["recipe"] = {"learning_rate": 1e-4}
    assert "mix.tasks.mnli.recipe.learning_rate: the optimisation is the stage's" in _problem(
        expanded, intermediates=_mix(tasks)
    )


def test_every_wrong_name_of_a_mixture_is_named(expanded: Expand) -> None:
    message = _problem(expanded, intermediates=_mix(["mnli", "sqad"]))
    assert message == "intermediates.r.0.mix.tasks.sqad: unknown task 'sqad'; did you mean 'squad'?"


def test_a_mixture_that_nothing_selects(expanded: Expand) -> None:
    tasks = ["mlm", "tydiqa"]
    assert "none of its tasks has a dev set" in _problem(expanded, intermediates=_mix(tasks))
    assert _stage(expanded(intermediates=_mix(tasks, recipe={"selection": "last"}))).parts[0].dev is None


def test_a_task_that_no_step_falls_to_is_refused_before_training(expanded: Expand, data: Any) -> None:
    """1000 questions of SQuAD to 10 of MNLI: of 20 steps MNLI's share is a fifth of one; a budget may do better."""
    tasks = {"mnli": {"recipe": {"max_examples": 10}}, "squad": {}}
    few = {"max_steps": 20}
    wanted = "intermediates.r.0: mixing: mnli gets none of 20 steps (its share is 0.0099); train longer, or give it a "
    assert _problem(expanded, intermediates=_mix(tasks, recipe=few)) == wanted + "probability"
    joint = {"r": {"stages": [{"mix": {"tasks": tasks}}], "budget": {"steps": 20}}}
    assert _problem(expanded, intermediates=joint) == wanted + "probability"
    joint["r"]["budget"] = {"steps": 200}
    assert _stage(expanded(intermediates=joint, recipe=few)).recipe.max_steps == 200


def test_tasks_that_cannot_share_a_head_are_refused(expanded: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_TASKS, "pawsx", replace(get_task("pawsx"), head="nli"))
    message = _problem(expanded, intermediates=_mix(["mnli", "pawsx"]))
    assert "intermediates.r.0: pawsx would share the head 'nli' with mnli, which has another family or" in message


def test_a_unions_version_rises_with_its_parts(expanded: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its examples are those that the parts' readers make."""
    before = _stage(expanded(intermediates={"r": ["anli_plus"]}))
    assert before.parts[0].task_version == 1
    monkeypatch.setitem(_TASKS, "mnli", replace(get_task("mnli"), version=2))
    assert _stage(expanded(intermediates={"r": ["anli_plus"]})).parts[0].task_version == 2


# --- budgets ---------------------------------------------------------------------------------------------------


def test_a_budget_is_shared_to_the_last_step(expanded: Expand, data: Any) -> None:
    """1000 rows of each task: MNLI and SQuAD alike, whatever the order; the joint stage has the whole."""
    sequence = expanded(intermediates={"r": {"stages": ["mnli", "squad"], "budget": {"steps": 301}}})
    assert [_stage(sequence, position=i).recipe.max_steps for i in (0, 1)] == [151, 150]
    joint = {"r": {"stages": [{"mix": {"tasks": ["mnli", "squad"]}}], "budget": {"steps": 301}}}
    assert _stage(expanded(intermediates=joint)).recipe.max_steps == 301


def test_a_budget_follows_the_rule_of_the_mixture(expanded: Expand) -> None:
    """2000 sentences of MLM (two languages) to 1000 of MNLI; a cap of 1000 makes them equal, uniform too."""

    def steps(**rule: Any) -> list[int | None]:
        regime = {"stages": ["mlm", "mnli"], "budget": {"steps": 300, **rule}}
        expansion = expanded(intermediates={"r": regime})
        return [_stage(expansion, position=i).recipe.max_steps for i in (0, 1)]

    assert steps() == [200, 100]
    assert steps(cap=1000) == steps(sampling="uniform") == [150, 150]
    assert steps(sampling="temperature", temperature=2) == [176, 124]  # sqrt 2 to 1


def test_a_budget_in_tokens(expanded: Expand) -> None:
    spec = _stage(expanded(intermediates={"r": {"stages": ["mnli"], "budget": {"tokens": 5000}}}))
    assert (spec.recipe.max_tokens, spec.recipe.epochs, spec.recipe.max_steps) == (5000, None, None)


def test_a_budget_needs_stages_without_lengths_of_their_own(expanded: Expand) -> None:
    none = {"r": {"stages": [], "budget": {"steps": 5}}}
    assert _problem(expanded, intermediates=none) == "intermediates.r: budget: the regime has no stages to spend it on"
    own = {"r": {"stages": ["squad", {"task": "mnli", "recipe": {"max_steps": 7}}], "budget": {"steps": 5}}}
    assert _problem(expanded, intermediates=own) == (
        "intermediates.r: stages.1.recipe.max_steps: the budget sets how long each stage is; leave it out"
    )


# --- languages of the training data ------------------------------------------------------------------------------


def _sources(spec: StageSpec) -> list[tuple[str, str]]:
    return [(ref.split, ref.language) for ref in spec.parts[0].train]


def test_translated_data_alone_or_with_english(expanded: Expand) -> None:
    def regime(**fields: Any) -> list[tuple[str, str]]:
        return _sources(_stage(expanded(intermediates={"r": [{"task": "mnli", "training": "translated", **fields}]})))

    assert sorted(regime()) == [("train", "en"), ("translated", "de"), ("translated", "sw")]
    assert regime(languages=["de", "sw"]) == [("translated", "de"), ("translated", "sw")]
    assert regime(languages=["en", "sw"]) == [("train", "en"), ("translated", "sw")]


def test_a_task_of_a_mixture_may_be_translated(expanded: Expand) -> None:
    tasks = {"mnli": {"training": "translated", "languages": ["de"]}, "squad": {}}
    spec = _stage(expanded(intermediates=_mix(tasks)))
    assert [[ref.split for ref in part.train] for part in spec.parts] == [["translated"], ["train"]]


def test_languages_of_a_text_stage(expanded: Expand) -> None:
    spec = _stage(expanded(intermediates={"r": [{"task": "mlm", "languages": ["sw"]}]}))
    assert _sources(spec) == [("train", "sw")]


def test_text_has_no_translation(expanded: Expand) -> None:
    message = _problem(expanded, intermediates={"r": [{"task": "mlm", "training": "translated"}]})
    assert message == ("intermediates.r.0: training: mlm reads text of any language as it is; name them in languages:")


def test_languages_of_english_training_are_refused(expanded: Expand) -> None:
    message = _problem(expanded, intermediates={"r": [{"task": "mnli", "languages": ["de"]}]})
    assert "mnli is trained on English; for languages, set training" in message


@pytest.mark.parametrize(("training", "field"), [("translated", "translated"), ("in-language", "train")])
def test_without_other_languages_the_message_says_where_to_put_them(
    expanded: Expand, data: Any, training: str, field: str
) -> None:
    data.has = lambda task, split, language: (
        split not in ("train", "translated") or (split, language) == ("train", "en")
    )
    message = _problem(expanded, intermediates={"r": [{"task": "mnli", "training": training}]})
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
    message = _problem(expanded, targets=targets)
    assert message == (
        "targets.own: setting in-language: no in-language training set of panx in fr (no train data of panx in fr); "
        "languages: present leaves out languages without one"
    )


@pytest.mark.parametrize("setting", ["in-language", "translate-train"])
def test_a_missing_training_set_is_a_mistake_as_a_missing_test_file_is(expanded: Expand, setting: str) -> None:
    """The mean over languages would be another one, without a word."""
    fields: tuple[dict[str, Any], ...] = ({"languages": "all"}, {"languages": ["en", "de", "fr"]})
    for field in fields:
        message = _problem(expanded, targets={"own": {"task": "panx", "setting": setting}}, **field)
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
    assert "test data of udpos in th" in _problem(expanded, targets=target, data=files)
    data.has = lambda task, split, language: (split, language) != ("train", "th")
    assert expanded(targets=target).left_out == {("own", "train"): ("th",)}
    assert "no in-language training set of udpos in th (" in _problem(expanded, targets=target, data=files)


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
    message = _problem(expanded, targets={"t": {"task": "tatoeba", "setting": "in-language"}})
    assert message == "targets.t: setting: tatoeba has nothing to train"


# --- noise -------------------------------------------------------------------------------------------------------


def test_noise_adds_evaluations_and_no_training(expanded: Expand) -> None:
    noise = {"kinds": ["swap", "drop"], "rates": [0.05, 0.1], "targets": ["xquad"], "scope": "question"}
    fields: dict[str, Any] = {"targets": ["xnli", "xquad"], "languages": ["en", "de"]}
    clean, noisy = expanded(**fields), expanded(**fields, noise=noise)
    assert {node.key for node in clean.graph} == {node.key for node in noisy.graph}
    xnli, xquad = (cell.branches[0].evaluations for cell in noisy.cells)
    assert [spec.condition for spec in xnli] == [None, None]
    names = [spec.condition.name if spec.condition else "clean" for spec in xquad if spec.language == "de"]
    assert names == ["clean", "swap@0.05-question", "swap@0.1-question", "drop@0.05-question", "drop@0.1-question"]


def test_what_is_noisy_meets_the_threshold_of_clean_data(expanded: Expand) -> None:
    def tuned(targets: Any, languages: list[str]) -> set[tuple[bool, bool]]:
        noise = {"kinds": ["swap"], "rates": [0.1]}
        (cell,) = expanded(targets=targets, languages=languages, splits=["dev"], noise=noise).cells
        return {(spec.condition is not None, spec.tune is not None) for spec in cell.branches[0].evaluations}

    assert tuned(["bucc2018"], ["de"]) == tuned(["squad2"], ["en"]) == {(False, False), (True, True)}
    given = {"squad2": {"settings": {"null_threshold": 0.0}}}
    assert tuned(given, ["en"]) == {(False, False), (True, False)}, "it is not chosen"


def test_noise_on_no_target(expanded: Expand) -> None:
    noise = {"kinds": ["swap"], "rates": [0.1], "targets": ["xnil"]}
    assert _problem(expanded, noise=noise) == "noise.targets: 'xnil' is no target; did you mean 'xnli'?"


def test_noise_on_a_target_that_has_none(expanded: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(get_family("tagging")), "noise", {})
    noise = {"kinds": ["swap", "drop"], "rates": [0.1]}
    problem = "noise: panx: the family tagging has no noise; leave it out of noise.targets"
    assert _problem(expanded, targets=["panx", "xnli"], noise=noise) == problem


# --- languages of the benchmark ----------------------------------------------------------------------------------


def _evaluated(expanded: Expand, **fields: Any) -> set[str]:
    (cell,) = expanded(targets=["panx"], **fields).cells
    return {spec.language for spec in cell.branches[0].evaluations}


def test_xtreme_r_adds_languages(expanded: Expand) -> None:
    assert _evaluated(expanded, benchmark="xtreme-r") - _evaluated(expanded) == {*words("qu pl uk az lt pa gu ro")}


def test_what_only_the_hub_lacks_is_read_from_files(expanded: Expand, data: Any) -> None:
    """The hub's UD has none of XTREME-R's new languages; a folder may."""
    targets = ["udpos"]

    def languages() -> set[str]:
        (cell,) = expanded(targets=targets, benchmark="xtreme-r").cells
        return {spec.language for spec in cell.branches[0].evaluations}

    has = data.has
    assert "wo" in languages()
    data.has = lambda task, split, language: language != "wo" and has(task, split, language)
    assert "wo" not in languages()


def _notes(expanded: Expand, **fields: Any) -> list[str]:
    return notes(expanded(**fields).graph)


def test_a_default_warmup_never_swallows_a_short_training(expanded: Expand) -> None:
    """SQuAD's 500 steps of warm-up in 20: a tenth of them, and the plan says so."""
    fields = {"intermediates": ["squad"], "recipes": {"squad": {"max_steps": 20}}}
    recipe = _stage(expanded(**fields), "squad").recipe
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
    recipe = _stage(expanded(**fields), "squad").recipe
    assert max(learning_rate(recipe, step, 20) for step in range(20)) == recipe.learning_rate * 19 / 500
    assert _notes(expanded, **fields) == [
        "squad: the warm-up of 500 steps is as long as the training (about 20 steps) and is kept: the learning rate "
        "ends at 0.04 of 3e-05 and never decays (long_warmup: keep)"
    ]


def test_xtremes_own_warmup_of_tydiqa_is_kept_until_its_length_changes(expanded: Expand) -> None:
    own = {"intermediates": ["none"], "targets": ["tydiqa"]}
    assert _stage(expanded(**own), "none").recipe.long_warmup == "keep"
    assert [note for note in _notes(expanded, **own) if note.startswith("tydiqa: the warm-up of 500")]
    short = _stage(expanded(**own, recipe={"max_steps": 20}), "none").recipe
    assert short.warmup_steps(20) == 2
    said = _stage(expanded(**own, recipe={"max_steps": 20, "long_warmup": "keep"}), "none").recipe
    assert said.warmup_steps(20) == 500


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
