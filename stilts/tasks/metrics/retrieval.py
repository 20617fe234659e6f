"""Metrics of retrieval: mined sentence pairs (BUCC) and rankings (LAReQA, Mewsli-X)."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stilts.tasks.metrics.base import Counts, Facts, Metric, Sums, overlap_metrics, register

Grades = Mapping[str, float] | Collection[str]
"""The relevant texts of a query, with their grades or alike."""

RANKS = 20
"""Ranks that XTREME-R's rankings are scored by."""


def count_pairs(predictions: Collection[tuple[str, str]], gold: Collection[tuple[str, str]], facts: Facts) -> Counts:
    """uint16 [foreign sentences, 3]: the number of right, predicted and gold pairs of each foreign sentence.

    A pair that is listed twice counts once.


    Most sentences of a corpus have no pair at all. They are items all the same, because the number of pairs in a
    sample is a matter of chance; `facts.items` lists them.
    """
    found, wanted = set(predictions), set(gold)
    ids = dict.fromkeys(foreign for foreign, _ in sorted(found | wanted)) if facts.items is None else facts.items
    rows = {id_: row for row, id_ in enumerate(ids)}
    counts = np.zeros((len(rows), 3), np.uint16)
    for column, pairs in enumerate((found & wanted, found, wanted)):
        try:
            np.add.at(counts[:, column], [rows[foreign] for foreign, _ in pairs], 1)
        except KeyError as error:
            raise ValueError(f"{error} is no sentence of the foreign corpus") from None
    return counts


def average_precision(ranked: Sequence[str], right: Collection[str], k: int = RANKS) -> float:
    """The precision at the rank of each right candidate, summed and divided by as many as could be among the first k.

    With one right candidate it is the reciprocal rank. A candidate that is named twice counts once. 0 where there is
    no right candidate.
    """
    hits = score = 0.0
    ranked = ranked[:k]
    for rank, candidate in enumerate(ranked):
        if candidate in right and candidate not in ranked[:rank]:
            hits += 1.0
            score += hits / (rank + 1.0)
    return score / min(len(right), k) if right else 0.0


def discounted_gain(grades: Sequence[float], k: int) -> float:
    """The sum of grades, each divided by log2(rank + 1), over the first k (Jarvelin and Kekalainen 2002)."""
    return float(sum(grade / math.log2(rank + 2) for rank, grade in enumerate(grades[:k])))


def count_gains(predictions: Mapping[str, Sequence[str]], gold: Mapping[str, Grades], facts: Facts) -> Counts:
    """float64 [queries, 4]: nDCG@10, recall@10, recall@20 and the reciprocal rank among the first 10 of each query.

    nDCG is the gain of the ranking, divided by that of the best ranking of the relevant texts (trec_eval's `ndcg_cut`).
    A text that a ranking names twice counts once, and a query without relevant texts scores 0.
    """
    return np.array([_gains(predictions.get(id_, ()), _grades(right)) for id_, right in gold.items()], np.float64)


def _gains(ranked: Sequence[str], grades: Mapping[str, float]) -> tuple[float, float, float, float]:
    ranked = list(dict.fromkeys(ranked))
    best = discounted_gain(sorted(grades.values(), reverse=True), 10)
    if not best:
        return 0.0, 0.0, 0.0, 0.0
    found = [grades.get(name, 0) for name in ranked]
    first = next((rank for rank, grade in enumerate(found[:10], 1) if grade > 0), None)
    recalls = (sum(grade > 0 for grade in found[:k]) / len(grades) for k in (10, 20))
    return discounted_gain(found, 10) / best, *recalls, 1 / first if first else 0.0  # type: ignore[return-value]


def _grades(right: Grades) -> Mapping[str, float]:
    """The grades of relevant texts; 1 for each where there are none."""
    return right if isinstance(right, Mapping) else dict.fromkeys(right, 1.0)


def _gain_metrics(of: str) -> tuple[Metric, ...]:
    def share(column: int) -> Callable[[Sums, float], NDArray[np.float64]]:
        return lambda sums, items: sums[..., column] / items * 100

    names = ("ndcg@10", "recall@10", "recall@20", "mrr@10")
    return tuple(Metric(name, of, count_gains, share(column)) for column, name in enumerate(names))


def count_precision(
    predictions: Mapping[str, Sequence[str]], gold: Mapping[str, Collection[str]], facts: Facts
) -> Counts:
    """float64 [queries, 1]: the average precision of each; 0 where a query has no prediction."""
    return np.array([[average_precision(predictions.get(id_, ()), right)] for id_, right in gold.items()], np.float64)


register(
    *_gain_metrics("rankings"),
    *_gain_metrics("graded rankings"),
    *overlap_metrics("pairs", count_pairs),
    Metric(f"map@{RANKS}", "rankings", count_precision, lambda sums, items: sums[..., 0] / items * 100),
)
