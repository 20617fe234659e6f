"""Counts: what each test item adds to a score, so that any sample of the items has its official score.

The counts and the score are those of the task's main metric (`stilts.tasks.metrics`). Items are examples, sentences,
propositions and questions; of BUCC they are the sentences of the foreign corpus, most of which have neither a
predicted nor a gold pair.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stilts.evaluate.candidates import Pool
from stilts.evaluate.gold import gold_of
from stilts.tasks.base import Task
from stilts.tasks.metrics import Counts, Facts
from stilts.tasks.score import main_metric

__all__ = ["Counts", "Items", "Means", "items_of"]

Means = NDArray[np.float64]
"""float64 [..., width]: counts averaged over items."""


@dataclass(frozen=True)
class Items:
    """The test items of one task in one language.

    Attributes:
        size: number of items.
        count: predictions, as `read_predictions` returns them, -> Counts. Raises ValueError where they are of other
            items.
        score: means of the counts over items, float64 [..., width] -> the task's main number in percent, float64 [...].
    """

    size: int
    count: Callable[[Any], Counts]
    score: Callable[[Means], Means]


def items_of(task: Task, language: str, table: pa.Table, pool: pa.Table | None = None) -> Items | None:
    """The items of canonical examples; None where they carry no gold.

    Args:
        pool: canonical examples that a ranking searches; None: the texts of `table`.
    """
    gold = gold_of(task, table, None if pool is None else Pool(pool))
    if gold is None:
        return None
    ids = table.filter(pc.equal(table["side"], "foreign"))["id"].to_pylist() if task.answers == "pairs" else None
    metric, facts = main_metric(task), Facts(language, task.labels, ids)
    size = len(gold) if ids is None else len(ids)
    return Items(size, partial(_count, metric.count, gold, facts), partial(_score_means, metric.score))


def _count(count: Callable[[Any, Any, Facts], Counts], gold: Any, facts: Facts, predictions: Any) -> Counts:
    return count(predictions, gold, facts)


def _score_means(score: Callable[[Means, float], Means], means: Means) -> Means:
    """The score of means: a mean is a sum over one item of average size."""
    return score(means, 1)
