"""The data sets' own files."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stilts.data.sources.choices import read_hellaswag
from stilts.data.sources.files import read_sentences
from stilts.data.sources.pairs import read_nli
from stilts.errors import Problems
from stilts.tasks.base import get_task

MNLI, HELLASWAG = get_task("mnli"), get_task("hellaswag")


def write(tmp_path: Path, text: str) -> list[Path]:
    path = tmp_path / "f"
    path.write_text(text, encoding="utf-8")
    return [path]


def jsonl(tmp_path: Path, *rows: Any) -> list[Path]:
    return write(tmp_path, "\n".join(json.dumps(row) for row in rows))


def pairs(table: pa.Table) -> list[tuple[str, str, int]]:
    return [(row["text_a"], row["text_b"], row["label"]) for row in table.to_pylist()]


def test_mnli_is_the_same_from_each_of_its_shapes(tmp_path: Path) -> None:
    glue = 'index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta\t"b\tneutral\tentailment\n'
    official = {"sentence1": "a", "sentence2": '"b', "gold_label": "entailment", "genre": "x"}
    tables = [
        read_nli(write(tmp_path, glue), MNLI, "en"),
        read_nli(jsonl(tmp_path, official), MNLI, "en"),
        read_nli(write(tmp_path, 'a\t"b\tentailment\n'), MNLI, "en"),
    ]
    assert [pairs(table) for table in tables] == [[("a", '"b', 0)]] * 3


def test_pairs_without_a_majority_label_are_left_out(tmp_path: Path) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "gold_label": label} for label in ("-", "neutral")]
    assert pairs(read_nli(jsonl(tmp_path, *rows), MNLI, "en")) == [("a", "b", 1)]


def test_glue_mistakes_are_told_by_line(tmp_path: Path) -> None:
    text = "sentence1\tsentence2\tgold_label\na\tb\na\tb\tno\n"
    with pytest.raises(Problems) as caught:
        read_nli(write(tmp_path, text), MNLI, "en")
    assert ["f:2: 2 columns" in caught.value.messages[0], "f:3: label 'no'" in caught.value.messages[1]] == [True] * 2


def test_jsonl_mistakes_are_told_by_line(tmp_path: Path) -> None:
    text = '{"sentence1": "a", "sentence2": "b"}\n{"sentence1": "a"}\n{oops\n[]\n'
    with pytest.raises(Problems) as caught:
        read_nli(write(tmp_path, text), MNLI, "en")
    assert [m.split("/f:")[1].split(" ")[0] for m in caught.value.messages] == ["2:", "3:", "4:"]


def test_hellaswag_choices_continue_the_begun_sentence(tmp_path: Path) -> None:
    official = {
        "ind": 4,
        "ctx": "A man sits. he",
        "ctx_a": "A man sits.",
        "ctx_b": "he",
        "endings": ["x", "y"],
        "label": 1,
    }
    cut = {"ctx": "How to sit.", "endings": ["x", "y"], "label": "0"}
    rows = read_hellaswag(jsonl(tmp_path, official, cut), HELLASWAG, "en").to_pylist()
    assert rows[0] == {"id": "4", "text_a": "A man sits.", "choices": ["he x", "he y"], "label": 1}
    assert rows[1] == {"id": "1", "text_a": "How to sit.", "choices": ["x", "y"], "label": 0}


def test_hellaswag_without_labels_and_with_wrong_ones(tmp_path: Path) -> None:
    row = {"ctx": "c", "endings": ["x", "y"]}
    assert read_hellaswag(jsonl(tmp_path, {**row, "label": ""}, row), HELLASWAG, "en")["label"].to_pylist() == [-1, -1]
    with pytest.raises(Problems, match="label 2 is not a choice from 0 to 1"):
        read_hellaswag(jsonl(tmp_path, {**row, "label": 2}), HELLASWAG, "en")


def test_sentences_skip_blank_lines_and_keep_line_numbers(tmp_path: Path) -> None:
    table = read_sentences(write(tmp_path, "one \n\n  \ntwo\n"), get_task("mlm"), "en")
    assert table.to_pylist() == [{"id": "0", "text": "one"}, {"id": "3", "text": "two"}]
