"""Checks and selections that several families make of canonical examples."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks import schema
from stilts.tasks.families.base import MAX_PROBLEMS
from stilts.tasks.families.subwords import list_lengths


def first_problems(problems: Iterable[str]) -> list[str]:
    """The first MAX_PROBLEMS of them."""
    return list(islice(problems, MAX_PROBLEMS))


def rows_where(mask: pa.ChunkedArray | pa.Array) -> list[int]:
    """Row numbers, at most MAX_PROBLEMS, where a boolean column holds."""
    return np.flatnonzero(pc.fill_null(mask, False).to_numpy())[:MAX_PROBLEMS].tolist()


def empty_texts(table: pa.Table, column: str) -> list[str]:
    """A problem for each row whose text is missing or blank."""
    blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(table[column], "")), "")
    return [f"row {row}: {column} is empty" for row in rows_where(blank)]


def bad_labels(table: pa.Table, count: int) -> list[str]:
    """A problem for each row whose label is neither -1 (none) nor an index below `count`."""
    labels = pc.fill_null(table["label"], -2)
    outside = pc.or_(pc.less(labels, -1), pc.greater_equal(labels, count))
    return [f"row {row}: label {labels[row].as_py()} is not one of 0..{count - 1}" for row in rows_where(outside)]


def has_gold(table: pa.Table, family: str) -> np.ndarray:
    """Whether each row has gold; every row of a family that needs none."""
    column = schema.GOLD.get(family)
    if column is None:
        return np.ones(table.num_rows, bool)
    if pa.types.is_list(table.schema.field(column).type):
        return list_lengths(table[column]) > 0
    return pc.greater_equal(table[column], 0).to_numpy()


def select(table: pa.Table, mask: np.ndarray) -> tuple[np.ndarray, pa.Table]:
    """The numbers of the rows for which a mask holds, and these rows."""
    return np.flatnonzero(mask), table.filter(pa.array(mask))
