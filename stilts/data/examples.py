"""Checks of the canonical examples that a reader returns, and estimates of their size for the plan."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.data.labels import check_spans
from stilts.data.sources.files import get_format
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import Task
from stilts.tasks.families import get_family

logger = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN = {"zh": 1.5, "ja": 1.5, "th": 2.5, "ko": 2.0}
"""Characters per token of XLM-R's vocabulary, roughly; 4 in other languages. For the cost model only."""


def add_gold(
    table: pa.Table, task: Task, path: Path, labels: Path, merge: Callable[[pa.Table, Path, Task], pa.Table]
) -> pa.Table:
    """Add the gold of a labels file to test examples that have none. Examples that have gold keep it; a warning tells
    where the labels file differs from it.

    Args:
        path: the file of the examples.
        merge: adds the gold of a labels file to a table (`Format.merge`).

    Raises:
        Problems: mistakes in the labels file, or it does not fit the examples, which have no gold.
    """
    family = get_family(task.family)
    if not family.has_gold(table).any():
        return merge(table, labels, task)
    try:
        merged = merge(table, labels, task)
    except StiltsError as error:
        first = error.messages[0] if isinstance(error, Problems) else error
        logger.warning("%s has gold of its own, which is used; %s does not fit it: %s", path, labels, first)
        return table
    column = str(family.gold_column)
    pairs = zip(table[column].to_pylist(), merged[column].to_pylist(), strict=True)
    differing = sum(_scored(column, own) != _scored(column, other) for own, other in pairs)
    if differing:
        logger.warning(
            "%s has gold of its own, which is used; that of %s differs from it in %d of %d rows",
            path, labels, differing, table.num_rows,
        )  # fmt: skip
    return table


def _scored(column: str, gold: Any) -> Any:
    """Return the gold of a row without what scores do not depend on: the order of answers, and their places."""
    if column == "answers":
        return {answer["text"] for answer in gold}
    return set(gold) if column in ("gold", "keys") else gold


def check_rows(table: pa.Table, task: Task, where: str) -> None:
    """Check that examples meet the requirements of their family.

    Args:
        where: the file or data set, for the messages.

    Raises:
        Problems: the mistakes, by row.
    """
    problems = get_family(task.family).validate(table, task)
    if problems:
        raise Problems([f"{where}: {_from_one(problem)}" for problem in problems])


def _from_one(problem: str) -> str:
    """Change the row numbers in a family's message, which count from 0, to numbers from 1."""
    return _ROW.sub(lambda found: f"row {int(found[1]) + 1}", problem)


_ROW = re.compile(r"(?:^|(?<=is that of ))row (\d+)\b")


def is_labelled(table: pa.Table, task: Task, split: str, where: str) -> bool:
    """Whether the examples have gold labels. In retrieval and ranking tasks some rows may have none.

    Raises:
        StiltsError: some rows have gold and others none, a split other than test has none at all, the gold of an
            evaluated split is a constant, two of its questions have the same id, or tags are those of IOB1.
    """
    family = get_family(task.family)
    gold = family.has_gold(table)
    lacking = table.num_rows - int(gold.sum())
    partly = task.unanswerable or family.partly_labelled
    if not partly and 0 < lacking < table.num_rows:
        first = int(gold.argmin()) + 1
        raise StiltsError(
            f"{where}: {lacking} of {table.num_rows} rows have no gold, first row {first}{family.gold_hint}"
        )
    if not gold.any() and split != "test":
        raise StiltsError(f"{where}: no gold labels, and {split} data needs them; {_where_gold_is(task, split)}")
    _refuse_blanked(table, task, split, where)
    _refuse_repeated_ids(table, task, split, where)
    check_spans(table, task, where)
    return bool(gold.any())


_UNLIKELY = 20
"""So many rows whose gold is all the same cannot be chance."""


def _refuse_blanked(table: pa.Table, task: Task, split: str, where: str) -> None:
    """Pass an evaluated split whose gold is not one and the same label in every row.

    Raises:
        StiltsError: it is, as in test files whose labels were replaced by a constant before they were published.
    """
    family = get_family(task.family)
    column = family.gold_column
    if column is None or split not in ("dev", "test") or table.num_rows < _UNLIKELY or not family.has_gold(table).any():
        return
    values = pc.list_flatten(table[column]) if pa.types.is_list(table[column].type) else table[column]
    if pa.types.is_struct(values.type):  # answers to questions; blank ones are no gold
        return
    found = pc.unique(values)
    if len(found) != 1:
        return
    gold = found[0].as_py()
    shown = task.labels[gold] if isinstance(gold, int) and gold < len(task.labels) else gold
    raise StiltsError(
        f"{where}: the gold of all {table.num_rows} rows is {shown!r}, as in a file whose labels were blanked; give a "
        "file with its labels, or without any, to get predictions alone"
    )


def _refuse_repeated_ids(table: pa.Table, task: Task, split: str, where: str) -> None:
    """Check that the questions of an evaluated split have distinct ids, because predictions and gold answers are
    compared by id. Training data may repeat them, as TyDiQA's does.

    Raises:
        StiltsError: two questions have the same id.
    """
    if "question" not in table.column_names or split not in ("dev", "test"):
        return
    ids = table["id"].to_pylist()
    first = {name: row for row, name in reversed(list(enumerate(ids, 1)))}
    repeated = [(row, name) for row, name in enumerate(ids, 1) if first[name] != row]
    if repeated:
        row, name = repeated[0]
        raise StiltsError(
            f"{where}: {len(repeated)} of {len(ids)} questions repeat the id of an earlier one, first {name!r} "
            f"(questions {first[name]} and {row} of the {split} data); answers are scored by id, make the ids distinct"
        )


def estimated_tokens(table: pa.Table, language: str) -> int:
    """Subword tokens over all rows, estimated from the number of characters."""
    characters = 0
    for name in table.column_names:
        if name in ("text_a", "text_b", "text", "context", "question", "query"):
            repeat = 1.0
            if name == "text_a" and "choices" in table.column_names:
                repeat = len(pc.list_flatten(table["choices"])) / max(table.num_rows, 1)
            characters += round(repeat * (pc.sum(pc.utf8_length(table[name])).as_py() or 0))
        elif name in ("choices", "tokens"):
            items = pc.list_flatten(table[name])
            characters += (pc.sum(pc.utf8_length(items)).as_py() or 0) + len(items)
    return round(characters / CHARACTERS_PER_TOKEN.get(language, 4.0)) + 3 * table.num_rows


def _where_gold_is(task: Task, split: str) -> str:
    if task.folder is not None:
        return f"XTREME's test files have none, give its {split} file"
    gold = get_format(task).gold
    looked = f"; it looks for {gold}" if gold else ""
    return f"the reader {task.files!r} found none in the file{looked}"
