"""Labels that come from the data: a task that declares none is given those of its training examples."""

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from stilts.errors import StiltsError
from stilts.tasks.base import Task

COLUMNS = {"tagging": "tags"}
"""Column of the labels, by family, of the families whose tasks may leave their labels to the data."""


def open_labels(task: Task) -> bool:
    """Whether the task's labels are those of its training data (CCG)."""
    return not task.labels and task.family in COLUMNS


def with_labels(task: Task, tables: Iterable[pa.Table]) -> Task:
    """The task with the distinct labels of its training tables, sorted by code points; itself where it declares them.

    A label of another split that training has not seen gets no index: nothing predicts it.

    Args:
        tables: canonical training examples.

    Raises:
        StiltsError: there is no label in them.
    """
    if not open_labels(task):
        return task
    column = COLUMNS[task.family]
    found = sorted({label for table in tables for label in pc.unique(pc.list_flatten(table[column])).to_pylist()})
    if not found:
        raise StiltsError(f"the training data of {task.name} has no {column}: its labels would come from them")
    return replace(task, labels=tuple(found))
