"""The generated corpus: the same everywhere, read by the readers of the real data, honest about train and test."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from stilts.data.prepare import Catalog
from stilts.data.sources.generated import VERSION, generate
from stilts.data.sources.generated.languages import invent
from stilts.data.sources.generated.lexicon import NAMES
from stilts.data.tables import read_table
from stilts.experiment.data import DataDecl, Generate
from stilts.tasks.base import get_task

SMALL = Generate(languages=3, sentences=400)
LANGUAGES = ("en", "qaa", "qab", "qac")
GOLDEN = "9126ec6f2c0d31897432edce78a9ebff2d27e9dc630b578da6f1732de2b60c7f"
"""sha256 over the files of SMALL, names and contents in order; moves only with VERSION."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("generated")
    generate(SMALL, path)
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def squad(path: Path) -> list[dict]:
    data = json.loads(path.read_text(encoding="utf-8"))["data"]
    return [{**qa, "context": p["context"]} for entry in data for p in entry["paragraphs"] for qa in p["qas"]]


def sentences(raw: str) -> list[str]:
    return re.findall(r"[^.?]+[.?]", raw)


def test_bytes_are_golden(folder: Path) -> None:
    assert (VERSION, digest(folder)) == (1, GOLDEN)


def test_declaration_decides_the_content(folder: Path, tmp_path: Path) -> None:
    generate(SMALL.model_copy(update={"seed": 1}), tmp_path / "seed")
    generate(SMALL.model_copy(update={"languages": 1}), tmp_path / "one")
    assert digest(tmp_path / "seed") != digest(folder)
    assert not (tmp_path / "one" / "mlm" / "qab.txt").exists()
    for name in ("mlm/qaa.txt", "xtreme/tatoeba/qaa-en.en", "xtreme/xnli/test-qaa.tsv"):
        assert (tmp_path / "one" / name).read_bytes() == (folder / name).read_bytes()


def test_sizes(folder: Path) -> None:
    assert len(lines(folder / "mlm/en.txt")) == 200
    assert len(lines(folder / "mlm/qab.txt")) == 400
    assert len(lines(folder / "xtreme/xnli/train-en.tsv")) == len(squad(folder / "xtreme/squad/train-v1.1.json")) == 150
    assert len(lines(folder / "hellaswag/hellaswag_train.jsonl")) == 75
    for language in LANGUAGES:
        assert len(lines(folder / f"xtreme/xnli/test-{language}.tsv")) == 10
    assert len(lines(folder / "xtreme/tatoeba/qac-en.qac")) == 15


def test_tiniest_corpus_has_everything(tmp_path: Path) -> None:
    generate(Generate(languages=1, sentences=2), tmp_path)
    assert all(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("task", ["xnli", "udpos", "xquad", "mnli", "squad", "hellaswag", "mlm", "tatoeba"])
def test_readers_of_the_real_data_read_it(task: str, root: Path) -> None:
    catalog = Catalog(DataDecl(generate=Generate(sentences=40)), root)
    declared = get_task(task)
    seen = []
    for split in ("train", "dev", "test"):
        for language in LANGUAGES:
            if catalog.has(declared, split, language):
                table = read_table(root / catalog.ref(declared, split, language).path)
                assert table.num_rows
                seen.append((split, language))
    expected = {
        "xnli": 1 + 4 + 4, "udpos": 1 + 4 + 4, "xquad": 4, "mnli": 1 + 4, "squad": 2, "hellaswag": 2,
        "mlm": 4, "tatoeba": 3,
    }  # fmt: skip
    assert len(seen) == expected[task], seen


def test_labels_are_balanced_and_test_files_have_none(folder: Path) -> None:
    labels = Counter(line.split("\t")[2] for line in lines(folder / "xtreme/xnli/train-en.tsv"))
    assert set(labels.values()) == {50}
    for language in LANGUAGES:
        assert {line.count("\t") for line in lines(folder / f"xtreme/xnli/test-{language}.tsv")} == {1}
        gold = Counter(lines(folder / f"labels/xnli/test-{language}.tsv"))
        assert len(gold) == 3
        assert max(gold.values()) - min(gold.values()) <= 1
        assert {line.count("\t") for line in lines(folder / f"xtreme/udpos/test-{language}.tsv")} == {0}
        assert all(qa["answers"] == [{"answer_start": 0, "text": ""}] for qa in squad(_xquad(folder, language)))
    choices = Counter(json.loads(row)["label"] for row in lines(folder / "hellaswag/hellaswag_train.jsonl"))
    assert set(choices) == {0, 1, 2, 3}


def _xquad(folder: Path, language: str) -> Path:
    return folder / f"xtreme/xquad/xquad.{language}.json"


def test_answers_stand_at_their_offsets(folder: Path) -> None:
    answered = [squad(folder / f"labels/xquad/test-{language}.json") for language in LANGUAGES]
    answered += [squad(folder / f"xtreme/squad/{split}-v1.1.json") for split in ("train", "dev")]
    for questions in answered:
        for qa in questions:
            answer = qa["answers"][0]
            context, start = f" {qa['context']} ", answer["answer_start"] + 1
            assert context[start : start + len(answer["text"])] == answer["text"]
            assert context[start - 1] == " "
            assert context[start + len(answer["text"])] in " ."
    for language in LANGUAGES:
        blanked, gold = squad(_xquad(folder, language)), squad(folder / f"labels/xquad/test-{language}.json")
        assert [(qa["id"], qa["context"]) for qa in blanked] == [(qa["id"], qa["context"]) for qa in gold]


def test_english_side_is_sorted_and_gold_finds_the_translation(folder: Path) -> None:
    languages = {language.code: language for language in invent(SMALL.languages, SMALL.seed)}
    for code, language in languages.items():
        english = lines(folder / f"xtreme/tatoeba/{code}-en.en")
        foreign = lines(folder / f"xtreme/tatoeba/{code}-en.{code}")
        gold = [int(line) for line in lines(folder / f"labels/tatoeba/test-{code}.tsv")]
        assert english == sorted(set(english))
        assert sorted(gold) == list(range(len(foreign)))
        assert gold != sorted(gold)
        for name in NAMES:  # a name in the one is a name in the other
            there = language.form(name, "PROPN")
            assert [name in line.split() for line in english] == [there in foreign[i].split() for i in gold]


def test_test_sentences_are_in_no_training_text(folder: Path) -> None:
    xnli = {line.split("\t")[0] for split in ("dev", "test") for line in lines(folder / f"xtreme/xnli/{split}-en.tsv")}
    facts = {s.strip() for qa in squad(folder / "labels/xquad/test-en.json") for s in sentences(qa["context"])}
    pairs = {line for code in LANGUAGES[1:] for line in lines(folder / f"xtreme/tatoeba/{code}-en.en")}
    held_out = xnli | facts | pairs
    raw = {s.strip() for code in LANGUAGES for line in lines(folder / f"mlm/{code}.txt") for s in sentences(line)}
    trained = {line.split("\t")[0] for line in lines(folder / "xtreme/xnli/train-en.tsv")}
    trained |= {s.strip() for qa in squad(folder / "xtreme/squad/train-v1.1.json") for s in sentences(qa["context"])}
    trained |= {json.loads(row)["ctx_a"] for row in lines(folder / "hellaswag/hellaswag_train.jsonl")}
    assert len(held_out) > 30
    assert not held_out & (raw | trained)
    tagged = [
        {block for block in (folder / f"xtreme/udpos/{split}-en.tsv").read_text().split("\n\n") if block}
        for split in ("train", "dev")
    ]
    assert not tagged[0] & tagged[1]
