"""Expansion: which cells there are, what they share, and what is said about an experiment that cannot be."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stilts.errors import Problems, StiltsError
from stilts.identity.stage import StageSpec
from stilts.plan.expand import Expansion
from tests.train.toys import make_base

Expand = Callable[..., Expansion]

NINE = ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"]


def _chains(expansion: Expansion) -> dict[tuple[str, str, int], list[str]]:
    """Tasks and seeds of each cell's stages."""
    found = {}
    for cell in expansion.cells:
        (branch,) = cell.branches
        specs = [expansion.graph.nodes[key].spec for key in branch.chain]
        stages = [f"{spec.parts[0].task}-{spec.recipe.seed}" for spec in specs if isinstance(spec, StageSpec)]
        found[cell.intermediate, cell.target, cell.seed] = stages
    return found


def _problems(expanded: Expand, **fields: Any) -> list[str]:
    with pytest.raises(Problems) as caught:
        expanded(**fields)
    return caught.value.messages


# --- chains and sharing --------------------------------------------------------------------------------------


def test_chains_of_a_grid(expanded: Expand) -> None:
    regimes = {"none": [], "one": ["mnli"], "two": ["squad", "mnli"]}
    found = _chains(expanded(intermediates=regimes, targets=["xnli", "xquad", "tatoeba"], seeds=[1, 2]))
    assert len(found) == 18
    assert found["none", "xnli", 1] == ["xnli-1"]
    assert found["none", "tatoeba", 2] == []
    assert found["one", "xnli", 2] == ["mnli-2", "xnli-2"]
    assert found["one", "tatoeba", 1] == ["mnli-1"]
    assert found["two", "xquad", 1] == ["squad-1", "mnli-1", "squad-1"]


def test_the_studys_grid_counts(expanded: Expand) -> None:
    """Four regimes, nine targets, five seeds: per seed 3 intermediates and 4 x 6 target stages, with two of them equal
    to intermediates (none -> squad is the squad regime's own stage, for xquad and mlqa)."""
    intermediates = ["none", "hellaswag", "squad", "mnli"]
    expansion = expanded(intermediates=intermediates, targets=NINE, seeds=[1, 2, 3, 4, 5])
    assert len(expansion.cells) == 4 * 9 * 5
    per_seed = 3 + 4 * len({"xnli", "pawsx", "udpos", "panx", "squad", "tydiqa"}) - 1
    assert len(expansion.graph.stages()) == 5 * per_seed
    assert len(expansion.graph) == 5 * per_seed + 1


def test_xquad_and_mlqa_share_their_stage_and_both_are_evaluated_on_it(expanded: Expand) -> None:
    expansion = expanded(targets=["xquad", "mlqa"])
    (stage,) = expansion.graph.stages()
    assert stage.uses == 2
    assert Counter(spec.task for spec in stage.evaluations.values()) == {"xquad": 11, "mlqa": 7, "squad": 1}
    assert {cell.branches[0].selection for cell in expansion.cells} == {
        spec for spec in stage.evaluations.values() if spec.task == "squad"
    }
    assert [len(cell.branches[0].evaluations) for cell in expansion.cells] == [11, 7]


def test_retrieval_adds_no_stage(expanded: Expand) -> None:
    expansion = expanded(intermediates=["none", "mnli"], targets=["bucc2018", "tatoeba"])
    base, mnli = expansion.graph
    assert [spec.parts[0].task for spec in expansion.graph.stages()[0:1] for spec in [spec.spec]] == ["mnli"]
    assert len(base.evaluations) == len(mnli.evaluations) == 4 + 36


def test_bucc_is_tuned_on_dev_and_tatoeba_on_nothing(expanded: Expand) -> None:
    (base,) = expanded(targets=["bucc2018", "tatoeba"], splits=["dev", "test"]).graph
    tuned = Counter((spec.task, spec.split, spec.tune is not None) for spec in base.evaluations.values())
    assert tuned == {("bucc2018", "dev", False): 4, ("bucc2018", "test", True): 4, ("tatoeba", "test", False): 36}


def test_regimes_of_the_same_stages_share_all(expanded: Expand) -> None:
    expansion = expanded(intermediates={"a": ["mnli"], "b": [{"task": "mnli"}]})
    assert len(expansion.cells) == 2
    assert len(expansion.graph.stages()) == 2


def test_a_different_recipe_is_a_different_stage(expanded: Expand) -> None:
    regimes = {"a": ["mnli"], "b": [{"task": "mnli", "recipe": {"epochs": 1}}]}
    assert len(expanded(intermediates=regimes).graph.stages()) == 4


def test_pretraining_is_shared_by_all_seeds_and_regimes(expanded: Expand) -> None:
    expansion = expanded(models={"m": _hub(pretrain=["mlm"])}, intermediates=["none", "mnli"], seeds=[3, 4])
    found = _chains(expansion)
    assert found["none", "xnli", 3] == ["mlm-0", "xnli-3"]
    assert found["mnli", "xnli", 4] == ["mlm-0", "mnli-4", "xnli-4"]
    assert Counter(node.spec.parts[0].task for node in expansion.graph.stages())["mlm"] == 1


def _hub(**fields: Any) -> dict[str, Any]:
    return {"hub": "a/b", "revision": "c", **fields}


def test_shared_intermediate_seeds(expanded: Expand) -> None:
    found = _chains(expanded(intermediates={"two": ["squad", "mnli"]}, seeds=[7, 8], intermediate_seeds="shared"))
    assert found["two", "xnli", 7] == ["squad-7", "mnli-7", "xnli-7"]
    assert found["two", "xnli", 8] == ["squad-7", "mnli-7", "xnli-8"]


def test_crossed_intermediate_seeds(expanded: Expand) -> None:
    regimes = {"none": [], "mnli": ["mnli"], "fixed": [{"task": "mnli", "seed": 9}]}
    own = expanded(intermediates=regimes, seeds=[7, 8])
    crossed = expanded(intermediates=regimes, seeds=[7, 8], intermediate_seeds="crossed")
    found = [(cell.intermediate, cell.intermediate_seed, cell.seed) for cell in crossed.cells]
    assert found == [
        *(("none", None, seed) for seed in (7, 8)),
        *(("mnli", first, seed) for seed in (7, 8) for first in (7, 8)),
        *(("fixed", None, seed) for seed in (7, 8)),
    ]
    nodes = [[crossed.graph.nodes[key].name for key in cell.branches[0].chain[1:]] for cell in crossed.cells]
    seeds = [[re.findall(r"-s(\d)-", name)[0] for name in names] for names in nodes]
    assert seeds[2:6] == [["7", "7"], ["8", "7"], ["7", "8"], ["8", "8"]]
    assert set(own.graph.nodes) < set(crossed.graph.nodes)


def test_a_stages_own_seed_wins(expanded: Expand) -> None:
    regimes = {"fixed": [{"task": "mnli", "seed": 9}]}
    assert _chains(expanded(intermediates=regimes, seeds=[1, 2]))["fixed", "xnli", 2] == ["mnli-9", "xnli-2"]
    pretrained = expanded(models={"m": _hub(pretrain=[{"task": "mlm", "seed": 5}])})
    assert _chains(pretrained)["none", "xnli", 1] == ["mlm-5", "xnli-1"]


def test_extending_a_grid_keeps_every_key(expanded: Expand, data: Any) -> None:
    pretrained = {"m": _hub(pretrain=["mlm"])}
    small = expanded(models=pretrained, languages=["en", "sw"])
    large = expanded(
        models={**pretrained, "n": _hub(revision="d")},
        intermediates=["none", "mnli"],
        targets=["xnli", "xquad"],
        seeds=[1, 2],
        splits=["dev", "test"],
        languages=["en", "sw", "de", "es"],
        runtime={"ranks": 8, "keep": "all"},
        store="/elsewhere",
    )
    assert set(small.graph.nodes) < set(large.graph.nodes)
    assert set(small.cells[0].branches[0].evaluations) < set(large.cells[0].branches[0].evaluations)


def test_parents_stand_before_children(expanded: Expand) -> None:
    expansion = expanded(intermediates={"a": ["mnli", "squad"], "b": ["squad"]}, targets=NINE, seeds=[1, 2])
    seen: set[str] = set()
    for node in expansion.graph:
        assert node.parent is None or node.parent in seen
        seen.add(node.key)
        assert all(expansion.graph.nodes[child].parent == node.key for child in node.children)
    assert sum(node.uses for node in expansion.graph) == sum(len(cell.stages) for cell in expansion.cells)


# --- recipes and data ----------------------------------------------------------------------------------------


def test_recipes_are_layered(expanded: Expand) -> None:
    """Task, then `recipe`, then `recipes`, then the stage's own."""
    regime = {"r": [{"task": "mnli", "recipe": {"max_length": 64}}]}
    common = {"epochs": 1, "max_length": 80, "batch_size": 8}
    expansion = expanded(
        intermediates=regime, recipe=common, recipes={"mnli": {"batch_size": 4}, "xnli": {"epochs": 9}}
    )
    mnli, xnli = (node.spec.recipe for node in expansion.graph.stages())
    assert (mnli.learning_rate, mnli.epochs, mnli.batch_size, mnli.max_length) == (3e-5, 1, 4, 64)
    assert (xnli.learning_rate, xnli.epochs, xnli.batch_size, xnli.max_length) == (3e-5, 9, 8, 80)


def test_dev_data_is_identity_only_where_it_selects(expanded: Expand) -> None:
    best, last = (
        expanded(recipe={"selection": selection}).graph.stages()[0].spec for selection in ("best-dev", "last")
    )
    assert best.parts[0].dev is not None
    assert last.parts[0].dev is None


def test_language_choices(expanded: Expand, data: Any) -> None:
    def languages(**fields: Any) -> list[str]:
        return [spec.language for spec in expanded(**fields).cells[0].branches[0].evaluations]

    assert len(languages()) == 15
    assert languages(languages=["sw", "qaa", "en"]) == ["sw", "qaa", "en"]
    assert languages(targets={"xnli": {"languages": ["de"]}}) == ["de"]
    data.absent = {("xnli", "test", "fr")}
    assert len(languages(languages="present")) == 14


def test_a_language_of_one_target_is_left_out_of_the_others(expanded: Expand) -> None:
    cells = expanded(targets=["xnli", "panx"], languages=["sw", "fi"]).cells
    assert [[spec.language for spec in cell.branches[0].evaluations] for cell in cells] == [["sw"], ["sw", "fi"]]


def test_the_official_extraction_is_a_setting_of_question_answering_alone(expanded: Expand) -> None:
    def first(**settings: Any) -> Any:
        return expanded(targets={"xquad": {"settings": settings}}).cells[0].branches[0].evaluations[0]

    assert first(extraction="ours").key == first().key  # the default is not recorded
    assert first(extraction="official").settings == {**first().settings, "extraction": "official"}
    given = {"xquad": {"settings": {"extraction": "theirs"}}, "xnli": {"settings": {"extraction": "official"}}}
    assert _problems(expanded, targets=given) == [
        "targets.xquad.settings.extraction: 'theirs' is not one of ours, official",
        "targets.xnli.settings.extraction: unknown; valid: max_length",
    ]


def test_settings_of_a_target(expanded: Expand) -> None:
    (spec, *_) = expanded(targets={"tatoeba": {"settings": {"layer": 7}}}).cells[0].branches[0].evaluations
    assert spec.settings == {"layer": 7, "layers": 24, "pooling": "mean", "max_length": 512, "precision": "bf16"}


# --- base models ---------------------------------------------------------------------------------------------


def _checkpoint(folder: Path) -> Path:
    """A tiny checkpoint, the same at every call."""
    folder.mkdir(parents=True)
    text = folder.parent / "text.txt"
    text.write_text("ab ba abba\n")
    return make_base(folder, text)


def test_a_local_model_is_its_files(expanded: Expand, tmp_path: Path) -> None:
    one, other = _checkpoint(tmp_path / "one"), _checkpoint(tmp_path / "My Model (2)")
    keys = [next(iter(expanded(models={"m": {"path": str(path)}}).graph.nodes)) for path in (one, other)]
    assert keys[0] == keys[1]
    (other / "tokenizer_config.json").write_text("{}")
    assert next(iter(expanded(models={"m": {"path": str(other)}}).graph.nodes)) != keys[0]


def test_names_of_stages_are_plain_and_short(expanded: Expand, tmp_path: Path, monkeypatch: Any) -> None:
    odd = _checkpoint(tmp_path / f".My Model (2) {'x' * 200}")
    monkeypatch.chdir(odd)
    for path in (str(odd), "."):
        base, stage = expanded(models={"m": {"path": path}}).graph
        assert base.name.startswith("my-model-2-xxx")
        assert base.name.endswith(base.key[:12])
        assert len(base.name) < 80
        assert "-xnli-s1-" in stage.name


def test_an_initialised_model_is_its_config_tokenizer_text_and_seed(expanded: Expand, data: Any) -> None:
    def key(**fields: Any) -> str:
        init = {"config": {"hidden_size": 12}, "tokenizer": {"vocab_size": 100}, **fields}
        return next(iter(expanded(models={"m": {"init": init}}).graph.nodes))

    keys = [key(), key(seed=1), key(tokenizer={"vocab_size": 101}), key(config={"hidden_size": 24})]
    data.texts = ("en", "sw", "de")
    assert len({*keys, key()}) == 5


# --- what cannot be ------------------------------------------------------------------------------------------


def test_every_unknown_name_is_said_with_the_nearest(expanded: Expand) -> None:
    messages = _problems(
        expanded,
        intermediates={"a": ["mnlii"], "b": ["squd", "mnli"]},
        targets={"xnly": {}, "panx": {"languages": ["de", "xx", "zzz"], "settings": {"max_len": 3}}},
        recipes={"squadd": {"epochs": 1}},
        models={"m": _hub(pretrain=["mlmm"])},
        data={"tasks": {"hellaswagg": {"train": "x"}}},
    )
    for where, hint in (
        ("intermediates.a.0.task: unknown task 'mnlii'", "'mnli'"),
        ("intermediates.b.0.task: unknown task 'squd'", "'squad'"),
        ("targets.xnly: unknown task 'xnly'", "'xnli'"),
        ("targets.panx: panx has no language 'xx'", "valid: "),
        ("targets.panx: panx has no language 'zzz'", "valid: "),
        ("targets.panx.settings.max_len: unknown", "'max_length'"),
        ("recipes.squadd: unknown task 'squadd'", "'squad'"),
        ("models.m.pretrain.0.task: unknown task 'mlmm'", "'mlm'"),
        ("data.tasks.hellaswagg: unknown task 'hellaswagg'", "'hellaswag'"),
    ):
        assert any(message.startswith(where) and hint in message for message in messages), (where, messages)
    assert len(messages) == 9


def test_a_mistake_in_the_library_is_said_once(expanded: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise StiltsError("two tasks are called 'xnli'")

    monkeypatch.setattr("stilts.tasks.base._load_library", broken)
    with pytest.raises(StiltsError) as caught:
        expanded(intermediates=["none", "mnli"], targets=["xnli", "panx"])
    assert str(caught.value) == "two tasks are called 'xnli'"


def test_training_on_what_is_only_evaluated(expanded: Expand) -> None:
    messages = _problems(expanded, intermediates={"a": ["xquad", "tatoeba"]})
    assert messages == [
        "intermediates.a.0.task: xquad has no training data of its own; it trains on 'squad'",
        "intermediates.a.1.task: tatoeba has no training data of its own",
    ]


def test_a_language_that_no_target_has(expanded: Expand) -> None:
    assert _problems(expanded, languages=["en", "xx"])[0].startswith("languages: the experiment has no language 'xx'")


def test_a_target_without_the_split_or_any_language(expanded: Expand) -> None:
    assert _problems(expanded, targets=["xnli", "tatoeba", "mlm"], splits=["dev"]) == [
        "targets.tatoeba: it has no dev split; add splits: [test] to the experiment",
        "targets.mlm: it has no dev split; it has nothing to evaluate, leave it out",
    ]
    assert _problems(expanded, targets=["xnli", "bucc2018"], languages=["sw"]) == [
        "targets.bucc2018: none of its languages is wanted and has a file (languages:, data:)"
    ]


def test_a_setting_of_another_kind(expanded: Expand) -> None:
    settings = {"max_length": "long", "pooling": 3}
    assert _problems(expanded, targets={"tatoeba": {"settings": settings}}) == [
        "targets.tatoeba.settings.max_length: 'long' is not like its default, 512",
        "targets.tatoeba.settings.pooling: 3 is not like its default, 'mean'",
    ]


def test_a_setting_beyond_its_bounds(expanded: Expand) -> None:
    given = {
        "tatoeba": {"max_length": -1, "pooling": "CLS", "layer": 0},
        "xquad": {"stride": 0, "n_best": 0, "max_answer_length": 2**21, "max_query_length": -3},
    }
    assert _problems(expanded, targets={name: {"settings": values} for name, values in given.items()}) == [
        "targets.tatoeba.settings.max_length: -1 is not between 8 and 1,048,576",
        "targets.tatoeba.settings.pooling: 'CLS' is not one of mean, cls",
        "targets.tatoeba.settings.layer: 0 is not between 1 and 10,000",
        "targets.xquad.settings.stride: 0 is not between 1 and 1,048,576",
        "targets.xquad.settings.n_best: 0 is not between 1 and 10,000",
        "targets.xquad.settings.max_answer_length: 2097152 is not between 1 and 1,048,576",
        "targets.xquad.settings.max_query_length: -3 is not between 1 and 1,048,576",
    ]
    assert _problems(expanded, targets=["tatoeba"], settings={"tatoeba": {"max_length": 7}}) == [
        "settings.tatoeba.max_length: 7 is not between 8 and 1,048,576"
    ]


def test_settings_that_contradict_each_other(expanded: Expand) -> None:
    targets = {"tatoeba": {"settings": {"layer": 30}}, "xquad": {"settings": {"max_length": 128}}}
    assert _problems(expanded, targets=targets) == [
        "targets.tatoeba.settings: layer 30 must be at most layers, which is 24",
    ]
    assert len(expanded(targets={"xquad": {"settings": {"max_length": 64}}}).cells) == 1  # the quickstart's


def test_a_threshold_that_is_none_by_default_can_be_set_to_a_number(expanded: Expand) -> None:
    targets = {"squad2": {"settings": {"null_threshold": -1.5}}}
    (spec,) = expanded(targets=targets, splits=["dev"]).cells[0].branches[0].evaluations
    assert spec.settings["null_threshold"] == -1.5
    assert _problems(expanded, targets={"squad2": {"settings": {"null_threshold": "low"}}}, splits=["dev"]) == [
        "targets.squad2.settings.null_threshold: 'low' is not a number"
    ]


def test_all_that_is_missing_comes_at_once_and_once(expanded: Expand, data: Any) -> None:
    data.absent = {("xnli", "test", "sw"), ("xnli", "test", "de"), ("mnli", "train", "en"), ("squad", "train", "en")}
    data.broken = {("panx", "test", "fi"): "fi.tsv:3: not a tag"}
    messages = _problems(
        expanded, intermediates={"a": ["mnli"], "b": ["squad", "mnli"]}, targets=["xnli", "panx", "xquad", "mlqa"]
    )
    assert sorted(messages) == [
        "intermediates.a.0: no train data of mnli in en",
        "intermediates.b.0: no train data of squad in en",
        "targets.panx: fi.tsv:3: not a tag",
        "targets.xnli: no test data of xnli in de",
        "targets.xnli: no test data of xnli in sw",
    ]


def test_pretraining_without_text_is_said(expanded: Expand, data: Any) -> None:
    data.texts = ()
    assert _problems(expanded, models={"m": _hub(pretrain=["mlm"])}) == [
        "models.m.pretrain.0: no train data of mlm in en"
    ]


def test_a_recipe_that_cannot_be(expanded: Expand) -> None:
    messages = _problems(expanded, intermediates={"a": [{"task": "squad", "recipe": {"stride": 384}}]})
    assert messages == ["intermediates.a.0: recipe of squad: stride 384 must be smaller than max_length 384"]


def test_a_checkpoint_that_is_not_there(expanded: Expand, tmp_path: Path) -> None:
    (message,) = _problems(expanded, models={"m": {"path": str(tmp_path / "none")}})
    assert message.startswith(f"models.m: {tmp_path}/none: no such folder")


def test_data_is_asked_for_once(expanded: Expand, data: Any) -> None:
    expanded(intermediates=["none", "mnli", "squad"], targets=["xnli", "xquad", "mlqa"], seeds=[1, 2, 3])
    assert max(Counter(data.asked).values()) == 1


def test_settings_by_task_reach_every_target_of_it(expanded: Expand) -> None:
    targets = {"tatoeba": {}, "low": {"task": "tatoeba", "settings": {"layer": 2}}}
    expansion = expanded(targets=targets, settings={"tatoeba": {"layer": 7, "max_length": 64}})
    found = {cell.target: cell.branches[0].evaluations[0].settings for cell in expansion.cells}
    assert (found["tatoeba"]["layer"], found["tatoeba"]["max_length"]) == (7, 64)
    assert (found["low"]["layer"], found["low"]["max_length"]) == (2, 64)
    messages = _problems(expanded, settings={"tatoeba": {"layr": 7}, "tatoba": {}})
    assert messages[0] == "settings.tatoeba.layr: unknown; did you mean 'layer'?"
    assert messages[1].startswith("settings.tatoba: unknown task 'tatoba'; did you mean 'tatoeba'")
