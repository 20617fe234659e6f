"""Evaluations of targets: languages, settings, noise, and curves during training."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stilts.data.prepare import Catalog
from stilts.errors import Problems
from stilts.experiment.mistakes import InvalidExperiment
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import SHORT, StageSpec
from stilts.plan.expand import Expansion, expand
from stilts.plan.graph import Node
from stilts.plan.todo import Artifact, missing_jobs
from stilts.tasks.base import get_task, words
from stilts.tasks.families import get_family
from tests.plan.conftest import BEST, Expand, FakeData, declare, mistake, mistakes


def _trained(expansion: Expansion) -> dict[str, Node]:
    """The stages that train, by slug."""
    return {node.slug: node for node in expansion.graph.stages()}


def _watched(node: Node) -> list[tuple[str, str, str, int | None]]:
    return [
        (what.evaluation.task, what.evaluation.split, what.evaluation.language, what.examples)
        for what in node.watched.values()
    ]


def test_a_target_is_scored_in_its_languages_but_english(expanded: Expand, data: FakeData) -> None:
    data.absent = {("xnli", "dev", language) for language in ("ar", "bg", "el", "es", "fr", "hi", "ru", "sw", "th")}
    [node] = _trained(expanded(languages=["en"], curves={"examples": 50})).values()
    assert _watched(node) == [("xnli", "dev", language, 50) for language in ("de", "tr", "ur", "vi", "zh")]
    curves = {"languages": ["zh", "de"], "splits": ["dev", "test"]}
    [node] = _trained(expanded(languages=["en"], curves=curves)).values()
    places = [("dev", "zh"), ("dev", "de"), ("test", "zh"), ("test", "de")]
    assert _watched(node) == [("xnli", *place, None) for place in places]


def test_curves_move_no_key(expanded: Expand) -> None:
    fields: dict[str, Any] = {"intermediates": ["none", "mnli"], "targets": ["xnli", "mlqa"]}
    assert list(expanded(curves={}, **fields).graph.nodes) == list(expanded(**fields).graph.nodes)


def test_targets_without_such_data_or_a_stage_of_their_own_have_none(expanded: Expand) -> None:
    targets = ["tatoeba", "tydiqa", "lareqa", "xquad", "mlqa", "udpos"]
    wanted = {"languages": ["en", "de"], "curves": {"languages": ["de"]}, "recipes": {"squad": BEST}}
    nodes = _trained(expanded(targets=targets, intermediates=["mnli"], **wanted))
    found = {slug.rpartition("-")[0]: _watched(node) for slug, node in nodes.items()}
    assert found == {
        "xlm-roberta-large-mnli": [],
        "xlm-roberta-large-mnli-tydiqa": [],
        "xlm-roberta-large-mnli-squad_retrieval": [],
        "xlm-roberta-large-mnli-squad": [("mlqa", "dev", "de", None)],  # and xquad's stage it is too
        "xlm-roberta-large-mnli-udpos": [("udpos", "dev", "de", None)],
    }


def test_a_stage_that_is_trained_is_watched_no_more(expanded: Expand) -> None:
    graph = expanded(curves={"languages": ["de"]}, languages=["en"]).graph
    [node] = graph.stages()
    [job] = [job for key, job in missing_jobs(graph, {}, "/store", Runtime()).items() if key == node.key]
    assert job.watched == tuple(node.watched.values())
    there = {node.key[:SHORT]: Artifact(node.name, trained=True, weights=True)}
    [job] = missing_jobs(graph, there, "/store", Runtime()).values()
    assert (job.trained, job.watched) == (True, ())


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"curves": {"languages": ["qq"]}}, "the experiment has no language 'qq'"),
        ({"curves": {}, "recipe": {"selection": "last"}}, "no target has any: they need evaluations on dev"),
        ({"curves": {}, "targets": ["tatoeba"]}, "no target has any"),
        ({"curves": {"languages": ["el"]}, "targets": ["pawsx"]}, "the experiment has no language 'el'"),
    ],
)
def test_what_cannot_be_is_said(expanded: Expand, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(Problems) as caught:
        expanded(**fields)
    [message] = caught.value.messages
    assert message.startswith(f"curves: {problem}")


@pytest.mark.parametrize(
    ("curves", "problem"),
    [
        ({"languages": ["de", "en"]}, "by English dev the weights are selected"),
        ({"languages": ["de", "de"]}, "'de' is given twice"),
        ({"splits": []}, "curves.splits: is empty"),
        ({"examples": 0}, "greater than 0"),
    ],
)
def test_curves_that_say_nothing_are_refused(curves: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidExperiment, match=problem):
        declare(curves=curves)


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
    assert mistake(expanded, noise=noise) == "noise.targets: 'xnil' is not a target; did you mean 'xnli'?"


def test_noise_on_a_target_that_has_none(expanded: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(get_family("tagging")), "noise", {})
    noise = {"kinds": ["swap", "drop"], "rates": [0.1]}
    problem = "noise: panx: the family tagging has no noise; leave it out of noise.targets"
    assert mistake(expanded, targets=["panx", "xnli"], noise=noise) == problem


def _evaluated(expanded: Expand, **fields: Any) -> set[str]:
    (cell,) = expanded(targets=["panx"], **fields).cells
    return {spec.language for spec in cell.branches[0].evaluations}


def test_xtreme_r_adds_languages(expanded: Expand) -> None:
    assert _evaluated(expanded, benchmark="xtreme-r") - _evaluated(expanded) == {*words("qu pl uk az lt pa gu ro")}


def test_what_only_the_hub_lacks_is_read_from_files(expanded: Expand, data: Any) -> None:
    """XTREME's own data has none of XTREME-R's new languages; another data set of the hub or a folder may."""
    targets = ["udpos"]

    def languages() -> set[str]:
        (cell,) = expanded(targets=targets, benchmark="xtreme-r").cells
        return {spec.language for spec in cell.branches[0].evaluations}

    has = data.has
    assert "wo" in languages()
    data.has = lambda task, split, language: language != "wo" and has(task, split, language)
    assert "wo" not in languages()


def test_bucc_is_tuned_on_dev_and_tatoeba_on_nothing(expanded: Expand) -> None:
    (base,) = expanded(targets=["bucc2018", "tatoeba"], splits=["dev", "test"]).graph
    tuned = Counter((spec.task, spec.split, spec.tune is not None) for spec in base.evaluations.values())
    assert tuned == {("bucc2018", "dev", False): 4, ("bucc2018", "test", True): 4, ("tatoeba", "test", False): 36}


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
    assert mistakes(expanded, targets=given) == [
        "targets.xquad.settings.extraction: 'theirs' is not one of ours, official",
        "targets.xnli.settings.extraction: unknown; valid: max_length",
    ]


def test_settings_of_a_target(expanded: Expand) -> None:
    (spec, *_) = expanded(targets={"tatoeba": {"settings": {"layer": 7}}}).cells[0].branches[0].evaluations
    assert spec.settings == {"layer": 7, "layers": 24, "pooling": "mean", "max_length": 512, "precision": "bf16"}


def test_a_language_that_no_target_has(expanded: Expand) -> None:
    assert mistakes(expanded, languages=["en", "xx"])[0].startswith("languages: the experiment has no language 'xx'")


def test_a_target_without_the_split_or_any_language(expanded: Expand) -> None:
    assert mistakes(expanded, targets=["xnli", "tatoeba", "mlm"], splits=["dev"]) == [
        "targets.tatoeba: it has no dev split; add splits: [test] to the experiment",
        "targets.mlm: it has no dev split; it has nothing to evaluate, leave it out",
    ]
    assert mistakes(expanded, targets=["xnli", "bucc2018"], languages=["sw"]) == [
        "targets.bucc2018: none of its languages is both selected (languages:) and available (data:)"
    ]


def test_a_setting_of_another_kind(expanded: Expand) -> None:
    settings = {"max_length": "long", "pooling": 3}
    assert mistakes(expanded, targets={"tatoeba": {"settings": settings}}) == [
        "targets.tatoeba.settings.max_length: 'long' is not like its default, 512",
        "targets.tatoeba.settings.pooling: 3 is not like its default, 'mean'",
    ]


def test_a_setting_beyond_its_bounds(expanded: Expand) -> None:
    given = {
        "tatoeba": {"max_length": -1, "pooling": "CLS", "layer": 0},
        "xquad": {"stride": 0, "n_best": 0, "max_answer_length": 2**21, "max_query_length": -3},
    }
    assert mistakes(expanded, targets={name: {"settings": values} for name, values in given.items()}) == [
        "targets.tatoeba.settings.max_length: -1 is not between 8 and 1,048,576",
        "targets.tatoeba.settings.pooling: 'CLS' is not one of mean, cls",
        "targets.tatoeba.settings.layer: 0 is not between 1 and 10,000",
        "targets.xquad.settings.stride: 0 is not between 1 and 1,048,576",
        "targets.xquad.settings.n_best: 0 is not between 1 and 10,000",
        "targets.xquad.settings.max_answer_length: 2097152 is not between 1 and 1,048,576",
        "targets.xquad.settings.max_query_length: -3 is not between 1 and 1,048,576",
    ]
    assert mistakes(expanded, targets=["tatoeba"], settings={"tatoeba": {"max_length": 7}}) == [
        "settings.tatoeba.max_length: 7 is not between 8 and 1,048,576"
    ]


def test_settings_that_contradict_each_other(expanded: Expand) -> None:
    targets = {"tatoeba": {"settings": {"layer": 30}}, "xquad": {"settings": {"max_length": 128}}}
    assert mistakes(expanded, targets=targets) == [
        "targets.tatoeba.settings: layer 30 must be at most layers, which is 24",
    ]
    assert len(expanded(targets={"xquad": {"settings": {"max_length": 64}}}).cells) == 1  # the quickstart's


def test_a_threshold_that_is_none_by_default_can_be_set_to_a_number(expanded: Expand) -> None:
    targets = {"squad2": {"settings": {"null_threshold": -1.5}}}
    (spec,) = expanded(targets=targets, splits=["dev"]).cells[0].branches[0].evaluations
    assert spec.settings["null_threshold"] == -1.5
    assert mistakes(expanded, targets={"squad2": {"settings": {"null_threshold": "low"}}}, splits=["dev"]) == [
        "targets.squad2.settings.null_threshold: 'low' is not a number"
    ]


def test_settings_by_task_reach_every_target_of_it(expanded: Expand) -> None:
    targets = {"tatoeba": {}, "low": {"task": "tatoeba", "settings": {"layer": 2}}}
    expansion = expanded(targets=targets, settings={"tatoeba": {"layer": 7, "max_length": 64}})
    found = {cell.target: cell.branches[0].evaluations[0].settings for cell in expansion.cells}
    assert (found["tatoeba"]["layer"], found["tatoeba"]["max_length"]) == (7, 64)
    assert (found["low"]["layer"], found["low"]["max_length"]) == (2, 64)
    messages = mistakes(expanded, settings={"tatoeba": {"layr": 7}, "tatoba": {}})
    assert messages[0] == "settings.tatoeba.layr: unknown; did you mean 'layer'?"
    assert messages[1].startswith("settings.tatoba: unknown task 'tatoba'; did you mean 'tatoeba'")


def test_a_generated_corpus_is_not_expected_to_have_real_languages(expanded: Expand, data: FakeData) -> None:
    real = [("xnli", "test", language) for language in get_task("xnli").languages if language != "en"]
    data.absent = set(real)
    fields: dict[str, Any] = {"targets": ["xnli"], "data": {"generate": {"languages": 2}}}
    expansion = expanded(**fields)
    (cell,) = expansion.cells
    assert [spec.language for spec in cell.branches[0].evaluations] == ["en", "qaa", "qab"]
    assert expansion.left_out == {}


def test_in_language_training_on_real_files_takes_the_languages_that_have_them(
    xtreme_mini: Path, tmp_path: Path
) -> None:
    """UD-POS with the dev files of two languages as their training files; the folder has 16 languages."""
    folder = xtreme_mini / "xtreme" / "udpos"
    (tmp_path / "train-de.tsv").write_bytes((folder / "dev-de.tsv").read_bytes())
    (tmp_path / "train-en.tsv").write_bytes((folder / "dev-en.tsv").read_bytes())
    files = {"train": f"{tmp_path}/train-{{lang}}.tsv", "dev": f"{folder}/dev-{{lang}}.tsv"}
    data = {"tasks": {"udpos": {**files, "test": f"{folder}/test-{{lang}}.tsv"}}}
    targets = {"udpos": {"setting": "in-language"}}
    experiment = declare(targets=targets, languages="present", data=data, recipe={"epochs": 1})
    expansion = expand(experiment, Catalog(experiment.data, tmp_path / "root"))
    (cell,) = expansion.cells
    assert [branch.evaluations[0].language for branch in cell.branches] == ["en", "de"]
    parts = [part for node in expansion.graph.stages() if isinstance(node.spec, StageSpec) for part in node.spec.parts]
    assert [[ref.language for ref in part.train] for part in parts] == [["en"], ["de"]]
    there = {path.stem.removeprefix("test-") for path in folder.glob("test-*.tsv")}
    assert set(expansion.left_out["udpos", "test"]) == set(get_task("udpos").languages) - there
    assert set(expansion.left_out["udpos", "train"]) == there - {"de", "en"}


def test_rates_that_tables_show_alike_are_refused(expanded: Expand) -> None:
    with pytest.raises(InvalidExperiment, match=r"'0\.1' is given twice"):
        expanded(noise={"kinds": ["swap"], "rates": [0.1, 0.10000001]})


def test_a_dev_file_that_is_declared_and_missing_is_a_mistake(
    expanded: Expand, data: FakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, the stage would silently have no dev score, and `languages: present` would drop the dev set."""
    monkeypatch.setattr(data, "has", lambda task, split, language: split != "dev")
    own = {"tasks": {"udpos": {"dev": "none.conll"}}}
    fields: dict[str, Any] = {"targets": ["udpos"], "languages": "present", "recipe": {"selection": "last"}}
    assert expanded(**fields).cells, "one that nobody declares is no mistake"
    problem = mistake(expanded, **fields, data=own)
    assert problem == "data.tasks.udpos.dev: none.conll does not exist; check the path"
