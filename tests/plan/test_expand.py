"""Expansion of an experiment: cells, the stages that they share, and messages about mistakes."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stilts.errors import StiltsError
from stilts.identity.stage import StageSpec
from stilts.plan.expand import Expansion
from tests.plan.conftest import NINE, Expand, mistakes
from tests.train.toys import make_base


def _chains(expansion: Expansion) -> dict[tuple[str, str, int], list[str]]:
    """Tasks and seeds of each cell's stages."""
    found = {}
    for cell in expansion.cells:
        (branch,) = cell.branches
        specs = [expansion.graph.nodes[key].spec for key in branch.chain]
        stages = [f"{spec.parts[0].task}-{spec.recipe.seed}" for spec in specs if isinstance(spec, StageSpec)]
        found[cell.intermediate, cell.target, cell.seed] = stages
    return found


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
    messages = mistakes(
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
    messages = mistakes(expanded, intermediates={"a": ["xquad", "tatoeba"]})
    assert messages == [
        "intermediates.a.0.task: xquad has no training data of its own; it trains on 'squad'",
        "intermediates.a.1.task: tatoeba has no training data of its own",
    ]


def test_all_that_is_missing_comes_at_once_and_once(expanded: Expand, data: Any) -> None:
    data.absent = {("xnli", "test", "sw"), ("xnli", "test", "de"), ("mnli", "train", "en"), ("squad", "train", "en")}
    data.broken = {("panx", "test", "fi"): "fi.tsv:3: not a tag"}
    messages = mistakes(
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
    assert mistakes(expanded, models={"m": _hub(pretrain=["mlm"])}) == [
        "models.m.pretrain.0: no train data of mlm in en"
    ]


def test_a_recipe_that_cannot_be(expanded: Expand) -> None:
    messages = mistakes(expanded, intermediates={"a": [{"task": "squad", "recipe": {"stride": 384}}]})
    assert messages == ["intermediates.a.0: recipe of squad: stride 384 must be smaller than max_length 384"]


def test_a_checkpoint_that_is_not_there(expanded: Expand, tmp_path: Path) -> None:
    (message,) = mistakes(expanded, models={"m": {"path": str(tmp_path / "none")}})
    assert message.startswith(f"models.m: {tmp_path}/none: no such folder")


def test_data_is_asked_for_once(expanded: Expand, data: Any) -> None:
    expanded(intermediates=["none", "mnli", "squad"], targets=["xnli", "xquad", "mlqa"], seeds=[1, 2, 3])
    assert max(Counter(data.asked).values()) == 1
