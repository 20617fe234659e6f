"""Nulls, other types and other shapes in every family and format: told by data set, row from 1 and column."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stilts.data.sources import hub
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import HubSource, Task, get_task

PAIR = {"premise": "a", "hypothesis": "b", "label": 1}
SCENE = {"ctx_a": "A.", "ctx_b": "he", "endings": ["w", "x", "y", "z"], "label": "1"}
TAGGED = {"tokens": ["im", "Haus"], "pos_tags": ["ADP", "NOUN"]}
ANSWERS = {"text": ["Bär"], "answer_start": [4]}
ASKED = {"id": "1", "context": "Der Bär", "question": "Wer?", "answers": ANSWERS}
COPA = {"premise": "c", "choice1": "x", "choice2": "y", "question": "cause", "label": 0}
ALIGNED = {"source_sentence": "Zug", "target_sentence": "train"}
TEXT = {"text": "one"}
MLM = HubSource(id="", revision="", splits={"train": "train"}, columns={"text": "text"}, config="c")

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "xnli": ("train", PAIR),
    "hellaswag": ("train", SCENE),
    "copa": ("train", COPA),
    "udpos": ("train", TAGGED),
    "squad": ("train", ASKED),
    "squad_retrieval": ("train", ASKED),
    "tatoeba": ("test", ALIGNED),
    "mlm": ("train", TEXT),
}
"""A sound row of a task of each family: split, columns."""


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], None]] = {
    "parquet": write_parquet,
    "jsonl": write_jsonl,
    "csv": write_csv,
}


def repository(folder: Path, split: str, form: str, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    WRITERS[form](folder / f"rows.{form}", rows)
    card = [
        "---",
        "configs:",
        "- config_name: c",
        "  data_files:",
        f"  - split: {split}",
        f"    path: rows.{form}",
        "---",
    ]
    (folder / "README.md").write_text("\n".join(card))
    return folder


def load(name: str, folder: Path, split: str, language: str = "en") -> pa.Table:
    task: Task = get_task(name)
    source = replace(task.hub or MLM, id=str(folder), config="c", files=None, id_prefix=None, splits={split: split})
    return hub.load(source, task, split, language)


def broken(name: str, form: str, tmp_path: Path, row: dict[str, Any]) -> list[str]:
    """What is said of a data set whose second of three rows is this one."""
    split, sound = ROWS[name]
    folder = repository(tmp_path / "r", split, form, [sound, row, sound])
    with pytest.raises(Problems) as caught:
        load(name, folder, split)
    return caught.value.messages


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize("name", sorted(ROWS))
def test_sound_rows_are_read(name: str, form: str, tmp_path: Path) -> None:
    split, sound = ROWS[name]
    assert load(name, repository(tmp_path / "r", split, form, [sound] * 3), split).num_rows == (
        6 if name == "tatoeba" else 3
    )


CELLS = [(name, column) for name in sorted(ROWS) for column in ROWS[name][1] if (name, column) != ("udpos", "pos_tags")]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize(("name", "column"), CELLS)
def test_a_null_is_told_by_row_and_column(name: str, column: str, form: str, tmp_path: Path) -> None:
    (message,) = broken(name, form, tmp_path, {**ROWS[name][1], column: None})
    told = "choice1+choice2" if column.startswith("choice") and name == "copa" else column
    told = "endings" if column == "endings" else told
    assert message.startswith(f"{tmp_path / 'r'} (c, split {ROWS[name][0]}): row 2, column {told}: ")
    assert "null" in message


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("udpos", "tokens", ["im", None]),
        ("udpos", "pos_tags", ["ADP", None]),
        ("hellaswag", "endings", ["w", None, "y", "z"]),
        ("squad", "answers", {"text": [None], "answer_start": [4]}),
        ("squad", "answers", {"text": ["Bär"], "answer_start": [None]}),
        ("squad", "answers", {"text": None, "answer_start": [4]}),
        ("squad_retrieval", "answers", {"text": ["Bär"], "answer_start": None}),
    ],
)
def test_a_null_inside_a_value_is_told(name: str, column: str, value: Any, form: str, tmp_path: Path) -> None:
    (message,) = broken(name, form, tmp_path, {**ROWS[name][1], column: value})
    assert f"row 2, column {column}: " in message
    assert "null" in message


@pytest.mark.parametrize(
    ("name", "column", "value", "said"),
    [
        ("xnli", "premise", 3, "is a number (3), expected text"),
        ("xnli", "label", 1.0, "is a number (1.0), expected a whole number or the name of a label"),
        ("xnli", "label", [1], "is a list, expected"),
        ("udpos", "tokens", "im Haus", "is text ('im Haus'), expected a list of texts"),
        ("udpos", "pos_tags", [0, 1], "item 1 is a number (0), and the data set does not name its classes"),
        ("hellaswag", "endings", "w x y z", "is text ('w x y z'), expected a list of texts"),
        ("hellaswag", "label", "no", "is text ('no'), expected the number of a choice"),
        ("squad", "answers", "Bär", "is text ('Bär'), expected the lists text and answer_start"),
        ("squad", "answers", {"text": ["Bär"], "answer_start": [4, 5]}, "1 texts for 2 starts"),
        ("squad", "answers", {"text": ["Bär"], "answer_start": ["4"]}, "is text ('4'), expected a character offset"),
        ("squad", "answers", {"text": ["Bär"], "answer_start": [2**40]}, "expected a character offset"),
        ("mlm", "text", ["one"], "is a list, expected text"),
        ("tatoeba", "target_sentence", 4, "is a number (4), expected text"),
    ],
)  # fmt: skip
def test_another_type_or_shape_is_told(name: str, column: str, value: Any, said: str, tmp_path: Path) -> None:
    split, sound = ROWS[name]
    folder = repository(tmp_path / "r", split, "parquet", [{**sound, column: value}] * 2)
    with pytest.raises(Problems) as caught:
        load(name, folder, split)
    assert f"row 1, column {column}: " in caught.value.messages[0]
    assert said in caught.value.messages[0]


def test_unequal_numbers_of_tokens_and_tags_are_told(tmp_path: Path) -> None:
    assert (
        "row 2, column pos_tags: 1 tag for 2 tokens"
        in broken("udpos", "jsonl", tmp_path, {"tokens": ["im", "Haus"], "pos_tags": ["ADP"]})[0]
    )


def test_answers_may_be_a_list_of_structs(tmp_path: Path) -> None:
    structs = {**ASKED, "answers": [{"text": "Bär", "answer_start": 4}]}
    for form in ("parquet", "jsonl"):
        table = load("squad", repository(tmp_path / form, "train", form, [structs]), "train")
        assert table["answers"].to_pylist() == [[{"text": "Bär", "start": 4}]]
    (message,) = broken("squad", "parquet", tmp_path, {**ASKED, "answers": None})
    assert "row 2, column answers: is null" in message
    nulls = [structs, {**structs, "answers": [None]}]
    with pytest.raises(Problems, match="row 2, column answers: holds null"):
        load("squad", repository(tmp_path / "n", "train", "parquet", nulls), "train")


@pytest.mark.parametrize("word", ["NA", "null", "None", "nan", "n/a", "NULL", ""])
def test_words_that_pandas_takes_for_nulls_stay_words(word: str, tmp_path: Path) -> None:
    rows = [{**COPA, "choice1": word or "x"}, COPA]
    table = load("copa", repository(tmp_path / "a", "train", "csv", rows), "train")
    assert table["choices"].to_pylist()[0][0] == (word or "x")
    text = [{"text": word or "y", "n": 1}, {"text": "two", "n": 2}]
    table = load("mlm", repository(tmp_path / "b", "train", "csv", text), "train")
    assert table["text"].to_pylist() == [word or "y", "two"]


def test_a_csv_column_of_words_such_as_na_keeps_its_labels(tmp_path: Path) -> None:
    rows = [{**PAIR, "premise": "NA", "label": label} for label in (0, 2)]
    table = load("xnli", repository(tmp_path / "r", "train", "csv", rows), "train")
    assert (table["text_a"].to_pylist(), table["label"].to_pylist()) == (["NA", "NA"], [0, 2])


def test_rows_of_another_language_are_not_looked_at_but_counted(tmp_path: Path) -> None:
    """One configuration holds every language of TyDiQA: row numbers are those of the data set."""
    rows = [{**ASKED, "id": "english-1", "context": None}, {**ASKED, "id": "swahili-1"}]
    rows.append({**ASKED, "id": "swahili-2", "question": None})
    folder = repository(tmp_path / "r", "test", "jsonl", rows)
    task = get_task("tydiqa")
    assert task.hub is not None
    source = replace(task.hub, id=str(folder), config="c", files=None, splits={"test": "test"})
    with pytest.raises(Problems) as caught:
        hub.load(source, task, "test", "sw")
    assert [message.partition("): ")[2] for message in caught.value.messages] == [
        "row 3, column question: is null, expected text"
    ]


# Labels


@pytest.mark.parametrize("none", [-1, -100])
def test_pairs_without_a_label_are_left_out_of_training_and_counted(
    none: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [PAIR, {**PAIR, "label": none}, PAIR]
    table = load("xnli", repository(tmp_path / "r", "train", "jsonl", rows), "train")
    assert table["label"].to_pylist() == [1, 1]
    assert "1 of 3 rows are left out: they have no label" in caplog.text


def test_most_pairs_without_a_label_are_refused(tmp_path: Path) -> None:
    rows = [PAIR, {**PAIR, "label": -1}, {**PAIR, "label": -1}]
    with pytest.raises(StiltsError, match="2 of 3 rows are left out, they have no label"):
        load("xnli", repository(tmp_path / "r", "train", "jsonl", rows), "train")


@pytest.mark.parametrize("label", [3, -2, "maybe"])
def test_a_label_outside_is_told(label: Any, tmp_path: Path) -> None:
    folder = repository(tmp_path / "r", "train", "jsonl", [{**PAIR, "label": label}])
    with pytest.raises(Problems, match=f"row 1, column label: label '?{label}'? is not one of entailment, neutral"):
        load("xnli", folder, "train")


def test_a_label_that_the_sources_map_lacks_is_told(tmp_path: Path) -> None:
    row = {"context": "c", "question": "q", "answerA": "x", "answerB": "y", "answerC": "z", "label": "4"}
    with pytest.raises(Problems, match="row 1, column label: label '4' is not one of 1, 2, 3 of task siqa"):
        load("siqa", repository(tmp_path / "r", "train", "jsonl", [row]), "train")
