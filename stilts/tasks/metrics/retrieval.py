"""Metrics of retrieval: mined sentence pairs (BUCC) and rankings (LAReQA, Mewsli-X)."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from stilts.tasks.metrics.base import Counts, Facts, Metric, overlap_metrics, register

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


def count_precision(
    predictions: Mapping[str, Sequence[str]], gold: Mapping[str, Collection[str]], facts: Facts
) -> Counts:
    """float64 [queries, 1]: the average precision of each; 0 where a query has no prediction."""
    return np.array([[average_precision(predictions.get(id_, ()), right)] for id_, right in gold.items()], np.float64)


register(
    *overlap_metrics("pairs", count_pairs),
    Metric(f"map@{RANKS}", "rankings", count_precision, lambda sums, items: sums[..., 0] / items * 100),
)
