"""Catalog: which source, what identity, what is refused."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stilts.data.prepare import Catalog, _read
from stilts.data.tables import read_table
from stilts.errors import Problems, StiltsError
from stilts.experiment.data import DataDecl, Generate, TaskSource
from stilts.tasks.base import all_tasks, get_task
from stilts.tasks.benchmarks import languages_of

XNLI, UDPOS = get_task("xnli"), get_task("udpos")


def write(path: Path, text: str, age: float = 60) -> Path:
    """A file that was last changed `age` seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    xtreme = tmp_path / "xtreme"
    write(xtreme / "xnli" / "train-en.tsv", "a\tb\tneutral\nc\td\tentailment\n")
    write(xtreme / "xnli" / "dev-en.tsv", "a\tb\tneutral\n")
    write(xtreme / "xnli" / "test-de.tsv", "e\tf\ng\th\n")
    write(tmp_path / "labels" / "xnli" / "test-de.tsv", "neutral\nentailment\n")
    return tmp_path


def catalog(folder: Path, labels: bool = False) -> Catalog:
    decl = DataDecl(xtreme=str(folder / "xtreme"), labels=str(folder / "labels") if labels else None)
    return Catalog(decl, folder / "root")


def test_a_file_becomes_a_canonical_table(folder: Path) -> None:
    ref = catalog(folder).ref(XNLI, "train", "en")
    assert (ref.rows, ref.labelled, ref.identity[:7]) == (2, True, "sha256:")
    table = read_table(folder / "root" / ref.path)
    assert table["text_a"].to_pylist() == ["a", "c"]
    assert catalog(folder).materialise(ref) == folder / "root" / ref.path


def test_only_files_that_exist_are_there(folder: Path) -> None:
    there = catalog(folder)
    assert there.has(XNLI, "test", "de")
    assert not there.has(XNLI, "test", "fr")
    assert not there.has(XNLI, "test", "xx")
    assert not there.has(get_task("xquad"), "dev", "en")


def test_identity_is_of_the_content(folder: Path) -> None:
    before = catalog(folder).ref(XNLI, "train", "en").identity
    path = folder / "xtreme" / "xnli" / "train-en.tsv"
    write(path, "a\tb\tneutral\r\nc\td\tentailment\r\n")
    assert catalog(folder).ref(XNLI, "train", "en").identity == before
    write(path, "a\tb\tneutral\nc\td\tneutral\n")
    assert catalog(folder).ref(XNLI, "train", "en").identity != before


def test_mnli_in_xtremes_folder_is_xnlis_training_file(folder: Path) -> None:
    mnli = catalog(folder).ref(get_task("mnli"), "train", "en")
    assert mnli.identity == catalog(folder).ref(XNLI, "train", "en").identity


def test_without_labels_the_test_files_are_unlabelled(folder: Path) -> None:
    assert not catalog(folder).ref(XNLI, "test", "de").labelled


def test_a_labels_folder_supplies_gold_and_changes_identity(folder: Path) -> None:
    plain, merged = catalog(folder).ref(XNLI, "test", "de"), catalog(folder, labels=True).ref(XNLI, "test", "de")
    assert merged.labelled
    assert merged.identity != plain.identity
    assert read_table(folder / "root" / merged.path)["label"].to_pylist() == [1, 0]
    assert not catalog(folder).ref(XNLI, "test", "de").labelled


def test_gold_of_the_test_file_that_differs_from_the_labels_folder_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    test, labels = folder / "xtreme" / "xnli" / "test-de.tsv", folder / "labels" / "xnli" / "test-de.tsv"
    write(test, "a\tb\tneutral\nc\td\tentailment\n")
    own = catalog(folder, labels=True).ref(XNLI, "test", "de")
    assert read_table(folder / "root" / own.path)["label"].to_pylist() == [1, 0]
    assert not caplog.text
    write(labels, "neutral\ncontradiction\n")
    assert catalog(folder, labels=True).ref(XNLI, "test", "de").identity == own.identity
    assert f"{test} has gold of its own, which is used; that of {labels} differs from it in 1 of 2 rows" in caplog.text
    write(labels, "neutral\n")
    assert catalog(folder, labels=True).ref(XNLI, "test", "de").identity == own.identity
    assert f"{labels} does not fit it: {labels}:2: 1 labels for 2 test rows" in caplog.text


def test_answers_are_compared_with_the_labels_folder_by_text(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def squad(path: Path, *answers: tuple[str, int]) -> None:
        given = [{"text": text, "answer_start": start} for text, start in answers]
        question = {"id": "q", "question": "Wer?", "answers": given}
        write(path, json.dumps({"data": [{"paragraphs": [{"context": "Bo und Bo", "qas": [question]}]}]}))

    labels = folder / "labels" / "xquad" / "test-de.json"
    squad(folder / "xtreme" / "xquad" / "xquad.de.json", ("Bo", 0), ("und", 3))
    squad(labels, ("und", 3), ("Bo", 7), ("Bo", 0))
    catalog(folder, labels=True).ref(get_task("xquad"), "test", "de")
    assert not caplog.text
    squad(labels, ("Bo", 0))
    catalog(folder, labels=True).ref(get_task("xquad"), "test", "de")
    assert f"that of {labels} differs from it in 1 of 1 rows" in caplog.text


@pytest.mark.parametrize("split", ["train", "dev"])
def test_training_and_dev_data_need_gold(folder: Path, split: str) -> None:
    write(folder / "xtreme" / "xnli" / f"{split}-en.tsv", "a\tb\n")
    with pytest.raises(StiltsError, match=rf"{split}-en\.tsv: no gold labels, and {split} data needs them"):
        catalog(folder).ref(XNLI, split, "en")


def test_a_task_that_is_not_xtremes_is_told_where_its_labels_are_looked_for(folder: Path) -> None:
    path = write(folder / "pairs.tsv", "a\tb\n")
    decl = DataDecl(tasks={"snli": TaskSource(train=str(path))})
    with pytest.raises(StiltsError) as caught:
        Catalog(decl, folder / "root").ref(get_task("snli"), "train", "en")
    assert "train data needs them; the reader 'nli' found none in the file; it looks for a column" in str(caught.value)
    assert "XTREME" not in str(caught.value)


def test_gold_on_some_rows_only_is_refused(folder: Path) -> None:
    path = write(
        folder / "train.jsonl",
        '{"sentence1": "a", "sentence2": "b", "gold_label": "neutral"}\n{"sentence1": "a", "sentence2": "b"}\n',
    )
    decl = DataDecl(tasks={"mnli": TaskSource(train=str(path))})
    with pytest.raises(StiltsError, match="1 of 2 rows have no gold, first row 2"):
        Catalog(decl, folder / "root").ref(get_task("mnli"), "train", "en")


def test_mistakes_name_file_and_line(folder: Path) -> None:
    path = write(folder / "xtreme" / "xnli" / "train-en.tsv", "a\tb\tneutral\na\tb\n")
    with pytest.raises(Problems, match=f"{path}:2: 2 columns"):
        catalog(folder).ref(XNLI, "train", "en")
    assert not list((folder / "root").rglob("*.arrow"))


def test_a_missing_file_names_its_path(folder: Path) -> None:
    with pytest.raises(StiltsError, match=r"test-fr\.tsv does not exist"):
        catalog(folder).ref(XNLI, "test", "fr")


def test_an_unknown_language_names_the_nearest(folder: Path) -> None:
    with pytest.raises(StiltsError, match="task xnli has no language 'dee'; did you mean 'de'"):
        catalog(folder).ref(XNLI, "test", "dee")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match=r"data\.xtreme: .* is not a folder"):
        Catalog(DataDecl(xtreme=str(tmp_path / "no")), tmp_path).has(XNLI, "test", "de")


def test_declared_files_win_split_by_split_over_the_folder(folder: Path) -> None:
    write(folder / "mine" / "en.tsv", "x\ty\tneutral\n")
    decl = DataDecl(
        xtreme=str(folder / "xtreme"), tasks={"xnli": TaskSource(train=str(folder / "mine" / "{lang}.tsv"))}
    )
    mixed = Catalog(decl, folder / "root")
    assert mixed.ref(XNLI, "train", "en").rows == 1
    assert mixed.ref(XNLI, "test", "de").rows == 2


def test_a_path_without_a_language_is_english(folder: Path) -> None:
    write(folder / "mine.tsv", "x\ty\tneutral\n")
    mine = Catalog(DataDecl(tasks={"xnli": TaskSource(dev=str(folder / "mine.tsv"))}), folder / "root")
    assert mine.has(XNLI, "dev", "en")
    assert not mine.has(XNLI, "dev", "de")
    with pytest.raises(StiltsError, match=r"no \{lang\} in it, so it is English"):
        mine.ref(XNLI, "dev", "de")


def test_invented_languages_are_read_like_any_other(folder: Path) -> None:
    write(folder / "xtreme" / "udpos" / "test-qaa.tsv", "bo\tNOUN\n")
    assert catalog(folder).has(UDPOS, "test", "qaa")
    assert catalog(folder).ref(UDPOS, "test", "qaa").labelled


def test_the_index_spares_the_second_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = catalog(folder).ref(XNLI, "train", "en")
    monkeypatch.setattr("stilts.data.prepare._read", lambda *_: pytest.fail("read again"))
    second = catalog(folder).ref(XNLI, "train", "en")
    assert vars(second) == vars(first)


@pytest.mark.parametrize("change", [{"files": "pairs"}, {"labels": ("neutral", "entailment")}], ids=str)
def test_another_reader_or_other_labels_read_again(
    folder: Path, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog(folder).ref(XNLI, "train", "en")
    read_by = []
    monkeypatch.setattr("stilts.data.prepare._read", lambda task, *more: read_by.append(task) or _read(task, *more))
    catalog(folder).ref(replace(XNLI, **change), "train", "en")
    assert len(read_by) == 1


def test_a_file_changed_just_now_is_not_trusted_to_its_time_stamp(folder: Path) -> None:
    path = write(folder / "xtreme" / "xnli" / "train-en.tsv", "a\tb\tneutral\n", age=0)
    stamp = path.stat().st_mtime_ns
    before = catalog(folder).ref(XNLI, "train", "en").identity
    path.write_text("z\tb\tneutral\n")
    os.utime(path, ns=(stamp, stamp))
    assert catalog(folder).ref(XNLI, "train", "en").identity != before


def test_a_file_whose_size_and_time_were_kept_is_read_again(folder: Path) -> None:
    """`cp -p` and `rsync -t` keep both."""
    path = write(folder / "xtreme" / "xnli" / "train-en.tsv", "a\tb\tneutral\n", age=60)
    stamp = path.stat().st_mtime_ns
    before = catalog(folder).ref(XNLI, "train", "en").identity
    time.sleep(0.05)
    path.write_text("z\tb\tneutral\n")
    os.utime(path, ns=(stamp, stamp))
    assert catalog(folder).ref(XNLI, "train", "en").identity != before


def test_a_change_of_labels_beside_the_questions_is_seen(tmp_path: Path) -> None:
    """Social IQa's first release keeps the labels in a file of their own, which no pattern names."""
    line = {"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "d"}
    questions = write(tmp_path / "train.jsonl", "".join(json.dumps(line) + "\n" for _ in range(3)))
    labels = write(tmp_path / "train-labels.lst", "1\n2\n3\n")
    there = Catalog(DataDecl(tasks={"siqa": TaskSource(train=str(questions))}), tmp_path / "root")
    before = there.ref(get_task("siqa"), "train", "en")
    write(labels, "3\n3\n3\n")
    after = there.ref(get_task("siqa"), "train", "en")
    assert before.identity != after.identity
    assert read_table(tmp_path / "root" / after.path)["label"].to_pylist() == [2, 2, 2]
    labels.unlink()
    with pytest.raises(StiltsError, match="no gold labels"):
        there.ref(get_task("siqa"), "train", "en")


def test_a_damaged_or_outlived_index_is_read_over(folder: Path) -> None:
    ref = catalog(folder).ref(XNLI, "train", "en")
    for index in (folder / "root" / "data" / "index").iterdir():
        index.write_text("{")
    assert catalog(folder).ref(XNLI, "train", "en") == ref
    (folder / "root" / ref.path).unlink()
    assert catalog(folder).ref(XNLI, "train", "en") == ref
    assert (folder / "root" / ref.path).is_file()


def test_materialise_refuses_a_file_that_changed_since_the_plan(folder: Path) -> None:
    ref = catalog(folder).ref(XNLI, "train", "en")
    (folder / "root" / ref.path).unlink()
    write(folder / "xtreme" / "xnli" / "train-en.tsv", "other\tb\tneutral\n")
    with pytest.raises(StiltsError, match=r"xnli \(en\) changed since the plan was made"):
        catalog(folder).materialise(ref)


def test_the_generated_corpus_is_made_once_and_read_as_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def generate(decl: Generate, folder: Path) -> None:
        calls.append(decl)
        write(folder / "xtreme" / "xnli" / "train-en.tsv", "a\tb\tneutral\n")
        write(folder / "xtreme" / "xnli" / "test-qaa.tsv", "a\tb\n")
        write(folder / "labels" / "xnli" / "test-qaa.tsv", "neutral\n")
        write(folder / "mlm" / "qaa.txt", "bo ba\n")

    monkeypatch.setattr("stilts.data.sources.generated.generate", generate)
    decl = DataDecl(generate=Generate())
    for _ in range(2):
        made = Catalog(decl, tmp_path)
        assert made.ref(XNLI, "test", "qaa").labelled
        assert made.has(get_task("mlm"), "train", "qaa")
        assert made.has(get_task("mnli"), "train", "en")
        assert not made.has(UDPOS, "test", "en")
    assert len(calls) == 1
    with pytest.raises(StiltsError, match="no test data for task udpos"):
        made.ref(UDPOS, "test", "en")


def test_reading_imports_neither_torch_nor_ray(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from stilts.data.prepare import Catalog; "
        "from stilts.experiment.data import DataDecl; from stilts.tasks.base import get_task; "
        f"there = Catalog(DataDecl(xtreme={str(folder / 'xtreme')!r}), Path({str(folder)!r})); "
        "there.ref(get_task('xnli'), 'dev', 'en'); "
        "print({'torch', 'ray', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_translated_files_of_xtremes_folder(tmp_path: Path) -> None:
    folder = tmp_path / "xtreme"
    rows = {
        "xtreme_translations/XNLI/translate-train/en-de-translated.tsv": "a\tb\tA\tB\tcontradictory\n",
        "xnli/train-en.tsv": "a\tb\tneutral\n",
    }
    for name, text in rows.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    there = Catalog(DataDecl(xtreme=str(folder)), tmp_path / "root")
    for name in ("xnli", "mnli"):
        task = get_task(name)
        assert there.has(task, "translated", "de")
        assert not there.has(task, "translated", "fr")
        table = read_table(tmp_path / "root" / there.ref(task, "translated", "de").path)
        assert table["text_a"].to_pylist() == ["A"]
        assert table["label"].to_pylist() == [2]


def test_questions_without_an_answer_are_gold_in_squad_2_alone(tmp_path: Path) -> None:
    answers = ([{"text": "Bär", "answer_start": 4}], [])
    questions = [{"id": str(i), "question": "q", "answers": a, "is_impossible": not a} for i, a in enumerate(answers)]
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "Der Bär", "qas": questions}]}]}))
    there = Catalog(
        DataDecl(tasks={name: TaskSource(dev=str(path)) for name in ("squad", "squad2")}), tmp_path / "root"
    )
    assert there.ref(get_task("squad2"), "dev", "en").labelled
    with pytest.raises(StiltsError, match="1 of 2 rows have no gold"):
        there.ref(get_task("squad"), "dev", "en")


# Real data


INTERMEDIATE = {
    "hellaswag": (("train", "hellaswag_train.jsonl"), ("dev", "hellaswag_val.jsonl")),
    "cosmosqa": (("train", "train.csv"), ("dev", "valid.csv")),
    "csqa": (("train", "train_rand_split.jsonl"), ("dev", "dev_rand_split.jsonl")),
    "siqa": (("train", "socialIQa_v1.4_trn.jsonl"), ("dev", "socialIQa_v1.4_dev.jsonl")),
}


def expected_counts(manifest: Path) -> Iterator[tuple[str, str, str, int]]:
    """(task, split, language or *, rows) of the targets in MANIFEST.tsv."""
    for line in manifest.read_text().splitlines():
        name, count, *_ = line.split("\t")
        task, _, rest = name.partition("/")
        if task not in all_tasks() or not languages_of(task) or not rest:
            continue
        if task == "lareqa":  # which counts languages
            continue
        if task == "bucc2018":
            sizes = count.split(", ")[0].split(" x ")
            yield task, rest.split(".")[1], rest[:2], sum(map(int, sizes))
        elif rest.startswith(("train-", "dev-", "test-")):
            split, language = rest.split("-", 1)
            yield task, split, "en" if language == "v1.1" else language, int(count)
        elif count.isdecimal():
            yield task, "test", rest, int(count)
        else:
            for part in count.split(", "):
                rows, split = part.split(" ")
                yield task, split, rest, int(rows)


def test_every_real_file_is_read_and_counted(xtreme_mini: Path, tmp_path: Path) -> None:
    decl = DataDecl(
        xtreme=str(xtreme_mini / "xtreme"),
        labels=str(xtreme_mini / "labels"),
        tasks={
            "mlm": TaskSource(train=str(xtreme_mini / "mlm" / "{lang}.txt")),
            **{
                task: TaskSource(**{split: str(xtreme_mini / "intermediate" / task / name) for split, name in files})
                for task, files in INTERMEDIATE.items()
            },
        },
    )
    there = Catalog(decl, tmp_path)
    refs = {
        (task.name, split, language): there.ref(task, split, language)
        for task in all_tasks().values()
        for split in ("train", "dev", "test")
        for language in task.languages
        if there.has(task, split, language)
    }
    assert all(ref.labelled for ref in refs.values())
    wanted = list(expected_counts(xtreme_mini / "MANIFEST.tsv"))
    assert len(wanted) > 50
    for task_name, split, language, rows in wanted:
        found = [r.rows for (t, s, lg), r in refs.items() if (t, s) == (task_name, split) and language in ("*", lg)]
        assert found, (task_name, split, language)
        assert set(found) == {rows}, (task_name, split, language)
    assert sum(task == "tatoeba" for task, _, _ in refs) == 25
    assert sum(task == "mlm" for task, _, _ in refs) == 20
    assert sum(task == "xcopa" and split == "test" for task, split, _ in refs) == 5
    counts = {task: [refs[task, split, "en"].rows for split in ("train", "dev")] for task in (*INTERMEDIATE, "copa")}
    assert counts == {
        "hellaswag": [4000, 600],
        "cosmosqa": [2500, 485],
        "csqa": [1000, 221],
        "siqa": [1600, 354],
        "copa": [400, 100],
    }


def test_real_test_files_have_no_gold_of_their_own(xtreme_mini: Path, tmp_path: Path) -> None:
    there = Catalog(DataDecl(xtreme=str(xtreme_mini / "xtreme")), tmp_path)
    for name in ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "tatoeba", "bucc2018", "xcopa"):
        task = get_task(name)
        language = next(lg for lg in task.languages if there.has(task, "test", lg))
        assert not there.ref(task, "test", language).labelled, name


PORTUGUESE = "1\tSim\t_\t_\t_\t_\t0\troot\t_\t_\n\n"
VERB = "1\tVem\t_\t_\t_\t_\t0\troot\tY\tcome.01\t_\n\n"


@pytest.mark.parametrize(
    ("name", "text", "blank"), [("udparse", PORTUGUESE, PORTUGUESE.replace("0\troot", "_\t_")), ("srl", VERB, None)]
)
def test_syntax_is_a_target_in_every_language_that_has_a_file(
    tmp_path: Path, name: str, text: str, blank: str | None
) -> None:
    write(tmp_path / "pt.conllu", text)
    if blank is not None:
        write(tmp_path / "fi.conllu", blank)
    source = TaskSource(test=str(tmp_path / "{lang}.conllu"))
    there, task = Catalog(DataDecl(tasks={name: source}), tmp_path / "root"), get_task(name)
    assert [language for language in task.languages if there.has(task, "test", language)] == (
        ["fi", "pt"] if blank else ["pt"]
    )
    assert (there.ref(task, "test", "pt").rows, there.ref(task, "test", "pt").labelled) == (1, True)
    if blank is not None:
        assert not there.ref(task, "test", "fi").labelled
    with pytest.raises(
        StiltsError, match=f"no train data for task {name} .*licen.*give files as data.tasks.{name}.train"
    ):
        Catalog(DataDecl(xtreme=str(tmp_path)), tmp_path / "root").ref(task, "train", "en")


@pytest.mark.parametrize(
    ("task", "row"),
    [("xnli", "a\tb\tneutral\n"), ("pawsx", "a\tb\t0\n"), ("udpos", "a\tX\nb\tX\n\n"), ("panx", "a\tO\n\n")],
)
@pytest.mark.parametrize("split", ["dev", "test"])
def test_gold_that_is_a_constant_is_refused(tmp_path: Path, task: str, row: str, split: str) -> None:
    """XTREME-R's download writes label 0 into every row of a test file; other sources do the like."""
    for count in (19, 20):
        path = write(tmp_path / f"{count}.tsv", row * count)
        there = Catalog(DataDecl(tasks={task: TaskSource(**{split: str(path)})}), tmp_path / "root")
        if count == 20:
            with pytest.raises(StiltsError, match=r"the gold of all 20 rows is '.*', as in a file whose labels were"):
                there.ref(get_task(task), split, "en")
        else:
            assert there.ref(get_task(task), split, "en").labelled
