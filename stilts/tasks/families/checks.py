"""Checks and selections of canonical examples that several families share."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks.families.base import MAX_PROBLEMS


def first_problems(problems: Iterable[str]) -> list[str]:
    """Return the first MAX_PROBLEMS of them."""
    return list(islice(problems, MAX_PROBLEMS))


def rows_where(mask: pa.ChunkedArray | pa.Array) -> list[int]:
    """Return the numbers of the rows for which a boolean column is true, at most MAX_PROBLEMS."""
    return np.flatnonzero(pc.fill_null(mask, False).to_numpy())[:MAX_PROBLEMS].tolist()


def empty_texts(table: pa.Table, column: str) -> list[str]:
    """Return a problem for each row whose text is missing or blank."""
    blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(table[column], "")), "")
    return [f"row {row}: {column} is empty" for row in rows_where(blank)]


def bad_labels(table: pa.Table, count: int) -> list[str]:
    """Return a problem for each row whose label is neither -1 (none) nor an index below `count`."""
    labels = pc.fill_null(table["label"], -2)
    outside = pc.or_(pc.less(labels, -1), pc.greater_equal(labels, count))
    return [f"row {row}: label {labels[row].as_py()} is not one of 0..{count - 1}" for row in rows_where(outside)]


def select(table: pa.Table, mask: np.ndarray) -> tuple[np.ndarray, pa.Table]:
    """Return the numbers of the rows for which a mask is true, and these rows."""
    return np.flatnonzero(mask), table.filter(pa.array(mask))


def check_columns_of_words(table: pa.Table, column: str, labels: set[str]) -> Iterator[str]:
    """Yield the mistakes in sentences of words with one label for each.

    Args:
        column: the list column of the labels.
        labels: the task's labels; empty if they are not known yet.
    """
    for row, (tokens, tags) in enumerate(zip(table["tokens"].to_pylist(), table[column].to_pylist(), strict=True)):
        if not tokens:
            yield f"row {row}: the sentence has no tokens"
        if tags and len(tags) != len(tokens):
            yield f"row {row}: {len(tokens)} tokens but {len(tags)} tags"
        for tag in sorted(set(tags) - labels) if labels else ():
            yield f"row {row}: tag {tag!r} is not one of {', '.join(sorted(labels))}"
