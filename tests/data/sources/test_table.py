"""Tables with named columns, read for a task of a user's own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stilts.data.sources.table import read_columns
from stilts.errors import StiltsError
from stilts.experiment.tasks import TaskFile
from stilts.tasks.base import Task, get_task
from stilts.tasks.own import use

ROWS = [{"s1": 'A "man" eats.', "s2": "Somebody eats.", "gold": "0"}, {"s1": "It, rains.", "s2": "No.", "gold": "1"}]


@pytest.fixture
def pairs() -> Iterator[Task]:
    """Pairs whose labels are numbers in the files."""
    text = """
mine:
  family: classification
  labels: [same, other]
  label_values: {"0": same, "1": other}
  columns: {text_a: s1, text_b: s2, label: gold}
choices:
  family: multiple_choice
  label_values: {"1": 0, "2": 1}
  columns: {text_a: passage, question: query, choices: a1+a2, label: right}
words:
  family: tagging
  metric: accuracy
  columns: {tokens: sentence.words, tags: sentence.tags}
"""
    use([TaskFile(file="my.yaml", text=text)])
    yield get_task("mine")
    use([])


def write(path: Path) -> Path:
    match path.suffix:
        case ".csv":
            path.write_text('s1,s2,gold\n"A ""man"" eats.",Somebody eats.,0\n"It, rains.",No.,1\n')
        case ".tsv":
            path.write_text('s1\ts2\tgold\nA "man" eats.\tSomebody eats.\t0\nIt, rains.\tNo.\t1\n')
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
        case ".json":
            path.write_text(json.dumps(ROWS))
        case ".parquet":
            pq.write_table(pa.Table.from_pylist([{**row, "gold": int(row["gold"])} for row in ROWS]), path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_every_form_gives_the_same_examples(pairs: Task, suffix: str, tmp_path: Path) -> None:
    found = read_columns([write(tmp_path / f"rows.{suffix}")], pairs, "en")
    assert found.to_pylist() == [
        {"id": "0", "text_a": 'A "man" eats.', "text_b": "Somebody eats.", "label": 0},
        {"id": "1", "text_a": "It, rains.", "text_b": "No.", "label": 1},
    ]


def test_lists_are_made_of_several_columns(pairs: Task, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"passage": "P", "query": "Q?", "a1": "x", "a2": "y", "right": 2}))
    (row,) = read_columns([path], get_task("choices"), "en").to_pylist()
    assert (row["text_a"], row["choices"], row["label"]) == ("P Q?", ["x", "y"], 1)


def test_a_field_inside_a_column_is_read(pairs: Task, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"sentence": {"words": ["a", "b"], "tags": ["X", "Y"]}}))
    (row,) = read_columns([path], get_task("words"), "en").to_pylist()
    assert (row["tokens"], row["tags"]) == (["a", "b"], ["X", "Y"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rows.tsv", "s1\ts3\tgold\na\tb\t0\n", "no column 's2'; valid: gold, s1, s3"),
        ("rows.tsv", "s1\ts2\tgold\na\t0\n", "rows.tsv:2: 2 cells, and the header has 3"),
        ("rows.tsv", "s1\ts1\tgold\na\tb\t0\n", "the header names a column twice"),
        ("rows.tsv", "s1\ts2\tgold\na\tb\t7\n", "row 1, column gold: label '7' is not one of 0, 1"),
        ("rows.tsv", "s1\ts2\tgold\n", "the table has no rows"),
        ("rows.jsonl", '{"s1": "a"\n', "rows.jsonl:1: not JSON"),
        ("rows.jsonl", '[1]\n', "rows.jsonl:1: not an object"),
        ("rows.jsonl", '{"s1": null, "s2": "b", "gold": 0}\n', "row 1, column s1: is null, expected text"),
        ("rows.txt", "x", "a table ends with .csv"),
        ("rows.parquet", "x", "cannot read"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(pairs: Task, name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(StiltsError) as caught:
        read_columns([tmp_path / name], pairs, "en")
    assert message in str(caught.value)
