"""Hub data sets, from local repositories of the hub's layout: nothing is downloaded."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest

from stilts.data.prepare import Catalog
from stilts.data.sources import hub
from stilts.data.tables import read_table
from stilts.errors import Problems, StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.tasks.base import HubSource, all_tasks, get_task
from stilts.tasks.benchmarks import XTREME_R

datasets.disable_progress_bars()


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def jsonl_repository(folder: Path, configs: Mapping[str, Mapping[str, list[dict[str, Any]]]]) -> Path:
    """A repository whose README names a jsonl file for each configuration and split."""
    lines = ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            path = folder / config / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
            lines += [f"  - split: {split}", f"    path: {config}/{split}.jsonl"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return folder


def parquet(path: Path, rows: list[dict[str, Any]], features: datasets.Features | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows, features=features).to_parquet(path)


def moved(name: str, folder: Path) -> HubSource:
    source = get_task(name).hub
    assert source is not None
    return replace(source, id=str(folder))


def test_pairs_by_language_configuration(tmp_path: Path) -> None:
    rows = [{"premise": "a", "hypothesis": "b", "label": 2}, {"premise": "c", "hypothesis": "d", "label": -1}]
    folder = jsonl_repository(tmp_path / "xnli", {"en": {"train": rows[:1]}, "de": {"test": rows}})
    table = hub.load(moved("xnli", folder), get_task("xnli"), "test", "de")
    assert table["label"].to_pylist() == [2, -1]
    assert table["id"].to_pylist() == ["0", "1"]


@pytest.mark.parametrize(("name", "ids"), [("xnli", ["0", "2"]), ("snli", ["0", "1"])])
def test_rows_of_a_parallel_task_are_numbered_before_some_are_left_out(
    name: str, ids: list[str], tmp_path: Path
) -> None:
    rows = [{"premise": "a", "hypothesis": "b", "label": label} for label in (0, -1, 2)]
    folder = jsonl_repository(tmp_path / "r", {"x": {"train": rows}})
    table = hub.load(replace(moved(name, folder), config="x"), get_task(name), "train", "en")
    assert table["id"].to_pylist() == ids


def test_labels_go_by_the_hubs_own_class_names(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["contradiction", "entailment", "neutral"])
    text = datasets.Value("string")
    features = datasets.Features({"premise": text, "hypothesis": text, "label": names})
    parquet(tmp_path / "r/x/train-0.parquet", [{"premise": "a", "hypothesis": "b", "label": 0}], features)
    source = replace(moved("mnli", tmp_path / "r"), config="x", files="{config}/{split}-*.parquet")
    table = hub.load(source, get_task("mnli"), "train", "en")
    assert table["label"].to_pylist() == [get_task("mnli").labels.index("contradiction")]


def test_pairs_that_lack_a_text_are_left_out_of_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"question1": "How?", "question2": b, "label": label} for b, label in (("Why?", 1), ("", 0), ("So?", 0))]
    folder = jsonl_repository(tmp_path / "r", {"qqp": {"train": rows}})
    table = hub.load(moved("qqp", folder), get_task("qqp"), "train", "en")
    assert table["text_b"].to_pylist() == ["Why?", "So?"]
    assert table["label"].to_pylist() == [1, 0]
    assert "1 of 3 rows are left out: they have not two texts" in caplog.text


def test_a_label_map_wins(tmp_path: Path) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "label": label} for label in ("yes", "no")]
    folder = jsonl_repository(tmp_path / "r", {"en": {"train": rows}})
    source = replace(moved("pawsx", folder), labels={"no": 0, "yes": 1})
    assert hub.load(source, get_task("pawsx"), "train", "en")["label"].to_pylist() == [1, 0]


def test_tags_become_their_names(tmp_path: Path) -> None:
    names = list(get_task("udpos").labels)
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "pos_tags": datasets.Sequence(datasets.ClassLabel(names=names)),
        }
    )
    rows = [{"tokens": ["im", "Haus"], "pos_tags": [names.index("ADP"), names.index("NOUN")]}]
    parquet(tmp_path / "r/udpos.German/test-00000-of-00001.parquet", rows, features)
    table = hub.load(moved("udpos", tmp_path / "r"), get_task("udpos"), "test", "de")
    assert table["tags"].to_pylist() == [["ADP", "NOUN"]]


def test_tydiqa_takes_the_rows_of_one_language(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"{name}-1",
            "title": "",
            "context": "c",
            "question": "q",
            "answers": {"text": ["c"], "answer_start": [0]},
        }
        for name in ("english", "swahili")
    ]
    parquet(tmp_path / "r/tydiqa/validation-0.parquet", rows)
    table = hub.load(moved("tydiqa", tmp_path / "r"), get_task("tydiqa"), "test", "sw")
    assert table["id"].to_pylist() == ["swahili-1"]
    assert table["answers"].to_pylist() == [[{"text": "c", "start": 0}]]


def test_tatoebas_english_side_is_sorted_stably_and_its_gold_kept(tmp_path: Path) -> None:
    pairs = [("Zug\n", "train\n"), ("Bus\n", "bus\n"), ("Bahn\n", "train\n")]
    rows = [{"source_sentence": de, "target_sentence": en, "source_lang": "deu"} for de, en in pairs]
    parquet(tmp_path / "r/tatoeba.deu/validation-0.parquet", rows)
    table = hub.load(moved("tatoeba", tmp_path / "r"), get_task("tatoeba"), "test", "de")
    assert [(r["text"], r["gold"]) for r in table.to_pylist()[3:]] == [
        ("bus", ["1"]),
        ("train", ["0"]),
        ("train", ["2"]),
    ]
    assert table["text"].to_pylist()[:3] == ["Zug", "Bus", "Bahn"]


def test_hellaswag_labels_are_strings(tmp_path: Path) -> None:
    row = {"ctx_a": "A.", "ctx_b": "he", "endings": ["x", "y"]}
    folder = jsonl_repository(tmp_path / "r", {"default": {"train": [{**row, "label": "1"}]}})
    table = hub.load(moved("hellaswag", folder), get_task("hellaswag"), "train", "en")
    assert table.to_pylist() == [{"id": "0", "text_a": "A.", "choices": ["he x", "he y"], "label": 1}]


QUESTION = {"context": "c", "question": "q?"}


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        (
            "csqa",
            {"id": "1", "question": "q?", "choices": {"label": ["A", "B"], "text": ["x", "y"]}, "answerKey": "B"},
            {"id": "1", "text_a": "q?", "choices": ["x", "y"], "label": 1},
        ),
        (
            "cosmosqa",
            {"id": "1", **QUESTION, **{f"answer{i}": str(i) for i in range(4)}, "label": 3},
            {"id": "1", "text_a": "c q?", "choices": ["0", "1", "2", "3"], "label": 3},
        ),
        (
            "siqa",
            {**QUESTION, "answerA": "x", "answerB": "y", "answerC": "z", "label": "3"},
            {"id": "0", "text_a": "c q?", "choices": ["x", "y", "z"], "label": 2},
        ),
        (
            "copa",
            {"premise": "c", "choice1": "x", "choice2": "y", "question": "effect", "idx": 5, "label": 0},
            {"id": "0", "text_a": "c What was the effect?", "choices": ["x", "y"], "label": 0},
        ),
    ],
)
def test_multiple_choice_from_the_hubs_columns(
    name: str, row: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    source = replace(moved(name, tmp_path / "r"), config="c", files="{config}/{split}.parquet")
    parquet(tmp_path / "r/c/train.parquet", [row])
    table = hub.load(source, get_task(name), "train", "en")
    assert [{key: r[key] for key in expected} for r in table.to_pylist()] == [expected]


def test_a_missing_part_of_a_joined_column_is_told(tmp_path: Path) -> None:
    parquet(tmp_path / "r/copa/train-0.parquet", [{"premise": "c", "choice1": "x", "question": "cause", "label": 0}])
    with pytest.raises(StiltsError, match="no column choice2 for copa"):
        hub.load(moved("copa", tmp_path / "r"), get_task("copa"), "train", "en")


def test_anlis_rounds_are_one_split_and_snlis_undecided_pairs_are_left_out(tmp_path: Path) -> None:
    rows = [{"premise": "a", "hypothesis": "b", "label": label} for label in (0, -1, 2)]
    folder = jsonl_repository(tmp_path / "anli", {"plain_text": {f"train_r{r}": rows[:1] for r in (1, 2, 3)}})
    assert hub.load(moved("anli", folder), get_task("anli"), "train", "en").num_rows == 3
    folder = jsonl_repository(tmp_path / "snli", {"plain_text": {"train": rows}})
    table = hub.load(moved("snli", folder), get_task("snli"), "train", "en")
    assert table["label"].to_pylist() == [0, 2]
    assert table["id"].to_pylist() == ["0", "1"]


def test_a_missing_column_names_those_there(tmp_path: Path) -> None:
    folder = jsonl_repository(tmp_path / "r", {"en": {"train": [{"a": "x", "label": 0}]}})
    with pytest.raises(StiltsError, match="no column premise, hypothesis for xnli; it has a, label"):
        hub.load(moved("xnli", folder), get_task("xnli"), "train", "en")


def test_a_missing_configuration_is_one_clear_message(tmp_path: Path) -> None:
    folder = jsonl_repository(tmp_path / "r", {"en": {"train": [{"a": "x"}]}})
    with pytest.raises(StiltsError, match=r"cannot load .* \(configuration de, split train.*data\.tasks\.xnli"):
        hub.load(moved("xnli", folder), get_task("xnli"), "train", "de")


def test_without_network_the_message_says_what_to_do() -> None:
    task = get_task("squad")
    assert task.hub is not None
    with pytest.raises(StiltsError, match=r"cannot load rajpurkar/squad .*HF_HUB_OFFLINE"):
        hub.load(task.hub, task, "train", "en")


# Through the catalog


def test_planning_needs_no_network(tmp_path: Path) -> None:
    ref = Catalog(DataDecl(), tmp_path).ref(get_task("xnli"), "train", "en")
    assert ref.identity == "hub:facebook/xnli/en@b8dd5d7af51114dbda02c0e3f6133f332186418e#train"
    assert (ref.rows, ref.labelled) == (392_702, True)
    assert list(tmp_path.iterdir()) == []


def test_the_full_size_grid_is_planned_offline(tmp_path: Path) -> None:
    catalog = Catalog(DataDecl(), tmp_path)
    refs = [
        catalog.ref(task, split, language)
        for task in all_tasks().values()
        for split in ("train", *task.splits)
        for language in task.languages
        if catalog.has(task, split, language)
    ]
    assert len({(ref.task, ref.identity) for ref in refs}) == len(refs)
    assert len(refs) > 200


def test_translated_training_sets_are_no_in_language_ones(tmp_path: Path) -> None:
    catalog = Catalog(DataDecl(), tmp_path)
    for name in ("xnli", "pawsx"):
        assert catalog.has(get_task(name), "train", "en")
        assert not catalog.has(get_task(name), "train", "de")
        assert catalog.has(get_task(name), "translated", "de")
        assert not catalog.has(get_task(name), "translated", "en")
    assert catalog.ref(get_task("xnli"), "translated", "de").rows == 392_702
    assert catalog.ref(get_task("tydiqa"), "train", "fi").rows == 6_855
    assert catalog.ref(get_task("udpos"), "train", "te").rows == 1_051
    assert not catalog.has(get_task("udpos"), "train", "yo")


# Languages that other data sets hold

ADDED = {
    ("panx", "uk"): "hub:unimelb-nlp/wikiann/uk@f0a3be6dc5564c0cc4150bb660144800a1f539d4#test",
    ("udpos", "wo"): "hub:izhx/xtreme-r-udpos/wo@7e002378cc5704114200c479db0c592c7f77f8f8#test",
    ("tatoeba", "az"): "hub:mteb/tatoeba-bitext-mining/aze-eng@69e8f12da6e31d59addadda9a9c8a2e601a0e282#test",
    ("xquad", "ro"): "hub:google/xquad/xquad.ro@51adfef1c1287aab1d2d91b5bead9bcfb9c68583#validation",
}


@pytest.mark.parametrize(("name", "language"), ADDED)
def test_what_xtreme_r_adds_comes_from_other_data_sets(name: str, language: str, tmp_path: Path) -> None:
    catalog, task = Catalog(DataDecl(), tmp_path), get_task(name)
    assert catalog.has(task, "test", language)
    assert catalog.ref(task, "test", language).identity == ADDED[name, language]
    if "train" in task.hub.splits if task.hub else False:
        assert not catalog.has(task, "train", language)
        with pytest.raises(StiltsError, match=f"has no train data of {name} in {language}"):
            catalog.ref(task, "train", language)


def test_a_data_set_of_ones_own_replaces_one_source_alone(tmp_path: Path) -> None:
    own = DataDecl(tasks={"panx": TaskSource(hub="me/panx", revision="abc")})
    assert Catalog(own, tmp_path).has(get_task("panx"), "test", "de")
    assert not Catalog(own, tmp_path).has(get_task("panx"), "test", "uk")


def test_every_language_of_xtreme_r_can_be_evaluated(tmp_path: Path) -> None:
    catalog = Catalog(DataDecl(), tmp_path)
    for name in ("xnli", "panx", "udpos", "tatoeba", "xcopa", "xquad", "mlqa", "tydiqa"):
        languages = XTREME_R.languages[name]
        assert [code for code in languages if not catalog.has(get_task(name), "test", code)] == []


def other(name: str, language: str, folder: Path) -> HubSource:
    source = get_task(name).hub
    assert source is not None
    return replace(source.of(language), id=str(folder))


def test_wikianns_tags_become_their_names(tmp_path: Path) -> None:
    tags = datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]))
    texts = datasets.Sequence(datasets.Value("string"))
    features = datasets.Features({"tokens": texts, "ner_tags": tags, "langs": texts, "spans": texts})
    row = {"tokens": ["в", "Києві"], "ner_tags": [0, 5], "langs": ["uk", "uk"], "spans": ["LOC: Києві"]}
    (tmp_path / "r").mkdir()
    parquet(tmp_path / "r/uk/test-00000-of-00001.parquet", [row], features)
    readme = "---\nconfigs:\n- config_name: uk\n  data_files:\n  - split: test\n    path: uk/test-*\n---\n"
    (tmp_path / "r/README.md").write_text(readme)
    table = hub.load(other("panx", "uk", tmp_path / "r"), get_task("panx"), "test", "uk")
    assert table.to_pylist() == [{"id": "0", "tokens": ["в", "Києві"], "tags": ["O", "B-LOC"]}]


def test_romanian_xquad_keeps_the_ids_of_the_other_languages(tmp_path: Path) -> None:
    row = {"id": "56beb4343aeaaa14008c925b", "context": "c", "question": "q"}
    answers = {"text": ["c"], "answer_start": [0]}
    folder = jsonl_repository(tmp_path / "r", {"xquad.ro": {"validation": [{**row, "answers": answers}]}})
    table = hub.load(other("xquad", "ro", folder), get_task("xquad"), "test", "ro")
    assert table["id"].to_pylist() == ["56beb4343aeaaa14008c925b"]
    assert table["answers"].to_pylist() == [[{"text": "c", "start": 0}]]


def test_azerbaijani_is_the_foreign_side_of_its_pairs(tmp_path: Path) -> None:
    rows = [{"sentence1": az, "sentence2": en} for az, en in (("Salam.", "hi"), ("Bəli.", "Yes."))]
    folder = jsonl_repository(tmp_path / "r", {"aze-eng": {"test": rows}})
    table = hub.load(other("tatoeba", "az", folder), get_task("tatoeba"), "test", "az")
    assert [(row["side"], row["text"], row["gold"]) for row in table.to_pylist()] == [
        ("foreign", "Salam.", []),
        ("foreign", "Bəli.", []),
        ("en", "Yes.", ["1"]),
        ("en", "hi", ["0"]),
    ]


def test_what_the_hub_lacks_is_not_there(tmp_path: Path) -> None:
    catalog = Catalog(DataDecl(), tmp_path)
    assert catalog.has(get_task("udpos"), "dev", "de")
    assert not catalog.has(get_task("udpos"), "dev", "yo")
    assert not catalog.has(get_task("udpos"), "dev", "qaa")
    assert not catalog.has(get_task("xquad"), "dev", "de")
    with pytest.raises(StiltsError, match="has no dev data of udpos in yo"):
        catalog.ref(get_task("udpos"), "dev", "yo")


def test_bucc_is_planned_from_declared_sizes_and_then_needs_xtremes_folder(tmp_path: Path) -> None:
    catalog = Catalog(DataDecl(), tmp_path)
    ref = catalog.ref(get_task("bucc2018"), "test", "zh")
    assert (ref.identity, ref.rows) == ("absent:bucc2018", 183_497)
    assert not catalog.has(get_task("bucc2018"), "test", "zh")
    with pytest.raises(StiltsError, match=r"no usable copy on the hub.*XTREME's download folder as data\.xtreme"):
        catalog.materialise(ref)


def test_another_data_set_needs_its_revision(tmp_path: Path) -> None:
    data = DataDecl(tasks={"mnli": TaskSource(hub="me/translated-mnli")})
    with pytest.raises(StiltsError, match=r"data\.tasks\.mnli\.revision is missing"):
        Catalog(data, tmp_path).ref(get_task("mnli"), "train", "en")
    pinned = DataDecl(tasks={"mnli": TaskSource(hub="me/translated-mnli", revision="abc")})
    ref = Catalog(pinned, tmp_path).ref(get_task("mnli"), "train", "en")
    assert ref.identity == "hub:me/translated-mnli/mnli@abc#train"


def test_a_local_repository_is_identified_by_its_content(tmp_path: Path) -> None:
    rows = [{"premise": "a", "hypothesis": "b", "label": 1}]
    folder = jsonl_repository(tmp_path / "r", {"mnli": {"train": rows}})
    data = DataDecl(tasks={"mnli": TaskSource(hub=str(folder))})
    ref = Catalog(data, tmp_path / "root").ref(get_task("mnli"), "train", "en")
    assert ref.identity.startswith("sha256:")
    assert read_table(tmp_path / "root" / ref.path)["label"].to_pylist() == [1]
    assert Catalog(data, tmp_path / "root").materialise(ref).is_file()


# Raw text, in articles


def articles(folder: Path, *texts: str | None) -> HubSource:
    parquet(folder / "20231101.de" / "train-00000-of-00001.parquet", [{"id": "1", "text": text} for text in texts])
    configs = "configs:\n- config_name: 20231101.de\n  data_files:\n  - split: train\n    path: 20231101.de/train-*\n"
    (folder / "README.md").write_text(f"---\n{configs}---\n")
    return replace(get_task("mlm").hubs[0], id=str(folder))


def test_articles_are_split_into_lines_up_to_a_number(tmp_path: Path) -> None:
    source = articles(tmp_path / "r", "Eins.\n\n  Zwei.\u2028Noch zwei.\n", "Drei.\nVier.", "Fünf.")
    table = hub.load(replace(source, lines=3), get_task("mlm"), "train", "de")
    assert table.to_pylist() == [
        {"id": "0", "text": "Eins."},
        {"id": "1", "text": "Zwei.\u2028Noch zwei."},
        {"id": "2", "text": "Drei."},
    ]
    assert hub.load(source, get_task("mlm"), "train", "de").num_rows == 5


def test_articles_beyond_the_number_of_lines_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = replace(articles(tmp_path / "r", *(f"Artikel {i}." for i in range(1000))), lines=2)
    read = []
    iterate = datasets.IterableDataset.__iter__

    def counted(self: datasets.IterableDataset) -> Any:
        for row in iterate(self):
            read.append(row)
            yield row

    monkeypatch.setattr(datasets.IterableDataset, "__iter__", counted)
    assert hub.load(source, get_task("mlm"), "train", "de").num_rows == 2
    assert len(read) == 2


def test_an_article_without_text_is_reported_by_row(tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"20231101\.de, split train\): row 2, column text: is null, expected text"):
        hub.load(articles(tmp_path / "r", "Eins.", None), get_task("mlm"), "train", "de")


def test_a_damaged_file_of_articles_is_reported(tmp_path: Path) -> None:
    source = articles(tmp_path / "r", "Eins.")
    (tmp_path / "r" / "20231101.de" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 damaged PAR1")
    with pytest.raises(StiltsError, match=r"cannot load .*20231101\.de, split train\) for task mlm"):
        hub.load(source, get_task("mlm"), "train", "de")


@pytest.mark.parametrize(
    ("id_", "language", "identity"),
    [
        ("wikimedia/wikipedia", "sw", "wikimedia/wikipedia/20231101.sw@b04c8d1ceb2f5cd4588862100d08de323dccfbaa"),
        ("HuggingFaceFW/fineweb-2", "sw", "HuggingFaceFW/fineweb-2/swh_Latn@af9c13333eb981300149d5ca60a8e9d659b276b9"),
    ],
)
def test_raw_text_comes_from_the_data_set_that_is_named(id_: str, language: str, identity: str, tmp_path: Path) -> None:
    catalog = Catalog(DataDecl(tasks={"mlm": TaskSource(hub=id_, lines=5_000)}), tmp_path)
    ref = catalog.ref(get_task("mlm"), "train", language)
    assert (ref.identity, ref.rows) == (f"hub:{identity}#train[:5000]", 5_000)


def test_fineweb_has_no_english(tmp_path: Path) -> None:
    catalog = Catalog(DataDecl(tasks={"mlm": TaskSource(hub="HuggingFaceFW/fineweb-2")}), tmp_path)
    assert not catalog.has(get_task("mlm"), "train", "en")
    assert catalog.has(get_task("mlm"), "train", "de")


def test_without_a_name_no_raw_text_is_downloaded(tmp_path: Path) -> None:
    catalog = Catalog(DataDecl(), tmp_path)
    assert not catalog.has(get_task("mlm"), "train", "de")
    with pytest.raises(StiltsError, match=r"as data\.tasks\.mlm\.hub: wikimedia/wikipedia or HuggingFaceFW"):
        catalog.materialise(catalog.ref(get_task("mlm"), "train", "de"))


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("mlm", TaskSource(hub="me/text", revision="abc"), "it can be read from wikimedia/wikipedia or Hugg"),
        ("mlm", TaskSource(lines=5), "data.tasks.mlm.lines needs data.tasks.mlm.hub"),
        ("mnli", TaskSource(hub="nyu-mll/glue", lines=5), "data.tasks.mnli.lines: only raw text has it"),
    ],
)
def test_a_choice_of_the_hub_that_does_not_apply(name: str, source: TaskSource, message: str, tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match=message):
        Catalog(DataDecl(tasks={name: source}), tmp_path).ref(get_task(name), "train", "en")


def test_ud_2_7_can_be_chosen_for_udpos(tmp_path: Path) -> None:
    catalog = Catalog(DataDecl(tasks={"udpos": TaskSource(hub="izhx/xtreme-r-udpos")}), tmp_path)
    revision = "7e002378cc5704114200c479db0c592c7f77f8f8"
    for split, theirs in (("train", "train"), ("dev", "validation"), ("test", "test")):
        ref = catalog.ref(get_task("udpos"), split, "en")
        assert ref.identity == f"hub:izhx/xtreme-r-udpos/en@{revision}#{theirs}"
    assert catalog.has(get_task("udpos"), "test", "el")
    assert not catalog.has(get_task("udpos"), "train", "el")


# No cache between a source and its content


def premises(folder: Path) -> list[str]:
    return list(hub.load(moved("mnli", folder), get_task("mnli"), "train", "en")["text_a"].to_pylist())


def nli(folder: Path, premise: str) -> Path:
    return jsonl_repository(folder, {"mnli": {"train": [{"premise": premise, "hypothesis": "h", "label": 1}]}})


def test_a_local_folder_is_read_as_it_is_now(tmp_path: Path) -> None:
    """`datasets` names its cache by the folder's last name and the sizes and times of its files alone."""
    assert premises(nli(tmp_path / "A" / "nli", "one")) == ["one"]
    before = (tmp_path / "A" / "nli" / "mnli" / "train.jsonl").stat()
    assert premises(nli(tmp_path / "A" / "nli", "two")) == ["two"]
    assert premises(nli(tmp_path / "B" / "nli", "six")) == ["six"]
    os.utime(tmp_path / "B" / "nli" / "mnli" / "train.jsonl", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert premises(tmp_path / "B" / "nli") == ["six"]
    assert premises(tmp_path / "A" / "nli") == ["two"]


def test_local_files_named_by_a_pattern_are_read_as_they_are_now(tmp_path: Path) -> None:
    path = tmp_path / "r" / "c" / "train.parquet"
    source = replace(moved("mnli", tmp_path / "r"), config="c", files="{config}/{split}.parquet")
    for premise in ("one", "two"):
        parquet(path, [{"premise": premise, "hypothesis": "h", "label": 1}])
        os.utime(path, ns=(10**18, 10**18))
        assert hub.load(source, get_task("mnli"), "train", "en")["text_a"].to_pylist() == [premise]


def test_two_contents_have_two_identities(tmp_path: Path) -> None:
    def identity(folder: Path) -> str:
        data = DataDecl(tasks={"mnli": TaskSource(hub=str(folder))})
        return Catalog(data, tmp_path / "root").ref(get_task("mnli"), "train", "en").identity

    first = identity(nli(tmp_path / "A" / "nli", "one"))
    assert identity(nli(tmp_path / "A" / "nli", "two")) != first
    assert identity(nli(tmp_path / "B" / "nli", "one")) == first


def test_reading_a_local_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    premises(nli(tmp_path / "A" / "nli", "one"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_network_another_revisions_cache_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` falls back to whatever revision it finds in its cache; a pin means one commit."""
    source = replace(moved("mnli", tmp_path), id="me/nli", revision="a" * 40)
    cached = datasets.config.HF_DATASETS_CACHE / "me___nli" / "mnli" / "0.0.0" / ("b" * 40)
    cached.mkdir(parents=True)
    rows = [{"premise": "other", "hypothesis": "h", "label": 1}]
    builder = datasets.load_dataset_builder(str(nli(tmp_path / "x" / "nli", "other")), "mnli", cache_dir=tmp_path / "y")
    builder.download_and_prepare()
    for file in Path(builder.cache_dir).iterdir():
        (cached / file.name).write_bytes(file.read_bytes())
    there = datasets.load_dataset("me/nli", "mnli", split="train", cache_dir=datasets.config.HF_DATASETS_CACHE)
    assert there["premise"][:] == [row["premise"] for row in rows]
    with pytest.raises(StiltsError, match=r"cannot load me/nli .*revision a"):
        hub.load(source, get_task("mnli"), "train", "en")


def test_a_local_folders_mistake_does_not_blame_the_network(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match=r"check the folder: its README\.md names the files") as caught:
        hub.load(moved("xnli", jsonl_repository(tmp_path, {})), get_task("xnli"), "train", "en")
    assert "network" not in str(caught.value)
