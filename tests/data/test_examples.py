"""Checks of examples, and estimates of their size."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stilts.data.examples import check_rows, estimated_tokens, is_labelled
from stilts.data.prepare import Catalog
from stilts.errors import Problems, StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.tasks.base import get_task
from stilts.tasks.schema import CLASSIFICATION, SPAN_QA, TAGGING

XNLI = get_task("xnli")


def pairs(*labels: int, text: str = "abcd") -> pa.Table:
    rows = [{"id": str(i), "text_a": text, "text_b": text, "label": label} for i, label in enumerate(labels)]
    return pa.Table.from_pylist(rows, schema=CLASSIFICATION)


def test_rows_are_numbered_from_one() -> None:
    table = pairs(0, 1)
    table = table.set_column(1, "text_a", pa.array(["a", " "]))
    with pytest.raises(Problems, match=r"the file: .*row 2\b"):
        check_rows(table, XNLI, "the file")
    check_rows(pairs(0, 1), XNLI, "the file")


def test_all_rows_of_a_file_have_gold_or_none() -> None:
    assert is_labelled(pairs(0, 2), XNLI, "test", "f")
    assert not is_labelled(pairs(-1, -1), XNLI, "test", "f")
    with pytest.raises(StiltsError, match="f: 1 of 2 rows have no gold, first row 2"):
        is_labelled(pairs(0, -1), XNLI, "test", "f")
    with pytest.raises(StiltsError, match="f: no gold labels, and dev data needs them"):
        is_labelled(pairs(-1, -1), XNLI, "dev", "f")


def test_questions_may_have_no_answer_where_the_task_says_so() -> None:
    answered: list[dict[str, Any]] = [{"text": "c", "start": 0}]
    rows = [{"id": str(i), "context": "c", "question": "q", "answers": a} for i, a in enumerate(([], answered))]
    table = pa.Table.from_pylist(rows, schema=SPAN_QA)
    assert is_labelled(table, get_task("squad2"), "train", "f")
    with pytest.raises(StiltsError, match="1 of 2 rows have no gold, first row 1"):
        is_labelled(table, get_task("squad"), "train", "f")


def test_questions_that_are_evaluated_have_distinct_ids() -> None:
    answer = [{"text": "c", "start": 0}]
    rows = [{"id": id_, "context": "c", "question": "q", "answers": answer} for id_ in ("a", "b", "a", "a")]
    table = pa.Table.from_pylist(rows, schema=SPAN_QA)
    for split in ("dev", "test"):
        with pytest.raises(StiltsError, match=r"f: 2 of 4 questions repeat .* first 'a' \(questions 1 and 3 of the"):
            is_labelled(table, get_task("tydiqa"), split, "f")
        assert is_labelled(table.slice(0, 2), get_task("tydiqa"), split, "f")
    assert is_labelled(table, get_task("tydiqa"), "train", "f")


def test_questions_of_two_files_of_one_split_have_distinct_ids(tmp_path: Path) -> None:
    questions = [{"id": "a", "question": "Who?", "answers": [{"text": "Bo", "answer_start": 0}]}]
    for name in ("1.json", "2.json"):
        text = json.dumps({"data": [{"paragraphs": [{"context": "Bo is here.", "qas": questions}]}]})
        (tmp_path / name).write_text(text, encoding="utf-8")
    source = TaskSource(dev=(str(tmp_path / "1.json"), str(tmp_path / "2.json")))
    catalog = Catalog(DataDecl(tasks={"squad": source}), tmp_path / "root")
    with pytest.raises(StiltsError, match=r"1\.json: 1 of 2 questions repeat the id of an earlier one, first 'a'"):
        catalog.ref(get_task("squad"), "dev", "en")


@pytest.mark.parametrize(("language", "tokens"), [("en", 5), ("th", 6), ("zh", 8)])
def test_tokens_are_estimated_from_characters(language: str, tokens: int) -> None:
    """Eight characters, and three special tokens for each row."""
    assert estimated_tokens(pairs(0), language) == tokens


def test_words_count_with_the_space_between_them() -> None:
    table = pa.Table.from_pylist([{"id": "0", "tokens": ["abc", "abc"], "tags": []}], schema=TAGGING)
    assert estimated_tokens(table, "en") == 5
