"""Labels from the training data."""

from dataclasses import replace

import pyarrow as pa
import pytest

from stilts.data.examples import is_labelled
from stilts.data.labels import check_spans, open_labels, with_labels
from stilts.errors import StiltsError
from stilts.tasks.base import Task, get_task
from stilts.tasks.families import get_family
from stilts.tasks.schema import TAGGING

CCG = get_task("ccg")


def table(*tags: list[str]) -> pa.Table:
    rows = [{"id": str(i), "tokens": ["w"] * len(row), "tags": row} for i, row in enumerate(tags)]
    return pa.Table.from_pylist(rows, schema=TAGGING)


def test_labels_are_the_distinct_tags_of_all_training_tables_in_order() -> None:
    task = with_labels(CCG, [table(["N", "(S\\NP)/NP"], ["N"]), table(["NP/N", "."])])
    assert task.labels == ("(S\\NP)/NP", ".", "N", "NP/N")
    assert with_labels(CCG, [table(["NP/N", "."]), table(["N"], ["N", "(S\\NP)/NP"])]) == task
    assert not open_labels(task)


def test_declared_labels_stay() -> None:
    panx = get_task("panx")
    assert with_labels(panx, [table(["B-XYZ"])]) is panx


def test_data_without_labels_is_told() -> None:
    with pytest.raises(StiltsError, match="the training data of ccg has no tags"):
        with_labels(CCG, [table([], [])])


def test_any_tag_is_valid_where_the_data_declares_them() -> None:
    assert get_family("tagging").validate(table(["N", "S"]), CCG) == []


IOB1 = table(["I-ORG", "O"], ["O", "I-PER", "B-PER", "I-LOC"])
"""Of four spans, two with a type that no B- began, and one after a span of another type."""


@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize("task", [get_task("panx"), replace(get_task("panx"), labels=())], ids=["declared", "open"])
def test_spans_that_begin_with_i_are_those_of_iob1(task: Task, split: str) -> None:
    with pytest.raises(StiltsError, match="f: 3 of 4 spans begin with I- and not with B-, first in sentence 1, as in"):
        is_labelled(IOB1, task, split, "f")


def test_a_few_spans_that_begin_with_i_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    check_spans(table(["B-ORG", "I-ORG", "B-PER"], ["O", "B-LOC", "I-LOC", "I-LOC"], []), get_task("panx"), "f")
    assert not caplog.text
    check_spans(table(["B-ORG", "I-ORG", "B-PER"], ["O", "I-LOC", "I-LOC"]), get_task("panx"), "f")
    assert "f: 1 of 3 spans begin with I- and not with B-, first in sentence 2; check its tags" in caplog.text


def test_tags_that_are_not_scored_as_spans_pass() -> None:
    check_spans(IOB1, CCG, "f")
