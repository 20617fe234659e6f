"""Gold: what predictions of canonical examples are scored against, in the form that `metrics.score` takes."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.evaluate.candidates import Pool
from stilts.tasks.base import Task
from stilts.tasks.families import get_family
from stilts.tasks.families.dual_encoder import queries_of


def gold_of(task: Task, table: pa.Table, pool: Pool | None = None) -> Any | None:
    """The gold of canonical examples, None where they carry none.

    Args:
        pool: what a ranking searches; None: the texts of `table`.
    """
    if task.family == "span_qa":
        return _answers(task, table)
    if task.family == "dual_encoder":
        return _rankings(table, Pool(table) if pool is None else pool)
    if task.family == "retrieval":
        return _pairs(table) if task.answers == "pairs" else _lines(table)
    return get_family(task.family).gold(table, task)


def _answers(task: Task, table: pa.Table) -> dict[str, list[str]] | None:
    """Accepted answers by question; rows that share an id share their answers."""
    answers = get_family(task.family).gold(table, task)
    if answers is None:
        return None
    gold: dict[str, list[str]] = {}
    for id_, texts in zip(table["id"].to_pylist(), answers, strict=True):
        gold.setdefault(id_, []).extend(texts)
    return gold


def _rankings(table: pa.Table, pool: Pool) -> dict[str, list[str]] | None:
    """Right candidates by query, none for a query that shares no key with a candidate."""
    queries, right = queries_of(table), pool.right()
    keys = queries["keys"].to_pylist()
    if not any(keys):
        return None
    ids = queries["id"].to_pylist()
    return {id_: [name for key in of for name in right.get(key, ())] for id_, of in zip(ids, keys, strict=True)}


def _pairs(table: pa.Table) -> set[tuple[str, str]] | None:
    """(foreign id, English id) of every sentence and its translation."""
    foreign = table.filter(pc.equal(table["side"], "foreign"))
    columns = (foreign[name].to_pylist() for name in ("id", "gold"))
    return {(id_, other) for id_, others in zip(*columns, strict=True) for other in others or ()} or None


def _lines(table: pa.Table) -> list[str] | None:
    """The foreign file's line number of each English sentence's translation."""
    gold = table.filter(pc.equal(table["side"], "en"))["gold"].to_pylist()
    return [ids[0] for ids in gold] if all(gold) else None
