"""Gold: what the predictions of canonical examples are scored against."""

from typing import Any

import pyarrow as pa

from stilts.evaluate.candidates import Pool
from stilts.tasks.base import Task
from stilts.tasks.families import get_family


def gold_of(task: Task, table: pa.Table, pool: Pool | None = None) -> Any | None:
    """Return the gold of canonical examples in the form that `tasks.score.score` takes, or None if there is none.

    Args:
        pool: the candidates that a ranking searches. With None, the texts of `table`.
    """
    return get_family(task.family).scored_gold(table, task, None if pool is None else pool.table)
