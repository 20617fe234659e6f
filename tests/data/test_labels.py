"""Labels from the training data."""

import pyarrow as pa
import pytest

from stilts.data.labels import open_labels, with_labels
from stilts.errors import StiltsError
from stilts.tasks.base import get_task
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
