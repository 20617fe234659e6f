"""Counts: what each test item adds to a score, so that any sample of the items has its official score.

Every official metric here is a function of sums over items. Chunks (named entities, POS runs, arguments) and BUCC's
pairs are micro-averaged: an item has right, predicted and gold ones, and the F1 of a sample is that of their sums. What
is a mean over items (accuracy, exact match and F1 of answers, average precision) is the mean of the items' own scores.
Word accuracy and attachment are right words over words.

Items are examples, sentences, propositions and questions; of BUCC the foreign sentences of the corpus, of which most
have neither a predicted nor a gold pair and count all the same: how many pairs a sample has is a matter of chance.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import eq
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stilts.evaluate.gold import gold_of
from stilts.evaluate.metrics import chunks_of, main_number, score
from stilts.evaluate.pool import Pool
from stilts.tasks.base import Task

Counts = NDArray[Any]
"""uint16 or float64 [items, what is counted]"""

Means = NDArray[np.float64]


Chunks = Callable[[Sequence[str]], Iterator[Hashable]]


@dataclass(frozen=True)
class Items:
    """The test items of one task in one language.

    Attributes:
        size: number of items.
        count: predictions, as `read_predictions` gives them, -> Counts. Raises ValueError where they are of other
            items.
        score: means of the counts over items, float64 [..., what is counted] -> the task's main number in percent,
            float64 [...].
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
    chunks = chunks_of(task)
    if chunks is not None:
        return Items(len(gold), partial(_count_chunks, chunks, gold, [set(chunks(tags)) for tags in gold]), _f1)
    if task.name == "bucc2018":
        ids = table.filter(pc.equal(table["side"], "foreign"))["id"].to_pylist()
        return Items(len(ids), partial(_count_pairs, {id_: row for row, id_ in enumerate(ids)}, gold), _f1)
    if task.family in ("tagging", "parsing"):
        return Items(len(gold), partial(_count_words, gold), _share)
    if task.family == "classification" and "f1" in task.metrics:
        return Items(len(gold), partial(_count_labels, gold, task.labels[1]), _accuracy_and_f1)
    return Items(len(gold), partial(_score_each, task.name, language, gold), _mean)


# --- counts


def _score_each(task: str, language: str, gold: Any, predictions: Any) -> Counts:
    """[items, 1]: each item's own score."""
    found: Iterable[tuple[Any, Any]]
    if isinstance(gold, Mapping):
        found = (({id_: predictions[id_]} if id_ in predictions else {}, {id_: right}) for id_, right in gold.items())
    else:
        found = (([ours], [right]) for ours, right in zip(predictions, gold, strict=True))
    return np.array([[main_number(score(task, language, ours, right))] for ours, right in found])


def _count_chunks(
    chunks: Chunks, gold: Sequence[Sequence[str]], wanted: Sequence[set[Hashable]], predictions: Any
) -> Counts:
    """[sentences, 3]: right, predicted and gold chunks."""
    _check_words(predictions, gold)
    found = map(set, map(chunks, predictions))
    return _whole((len(ours & right), len(ours), len(right)) for ours, right in zip(found, wanted, strict=True))


def _count_pairs(
    rows: Mapping[str, int], gold: Collection[tuple[str, str]], predictions: Collection[tuple[str, str]]
) -> Counts:
    """[foreign sentences, 3]: right, predicted and gold pairs."""
    counts = np.zeros((len(rows), 3), np.uint16)
    for column, pairs in enumerate((set(predictions) & set(gold), predictions, gold)):
        try:
            np.add.at(counts[:, column], [rows[foreign] for foreign, _ in pairs], 1)
        except KeyError as error:
            raise ValueError(f"{error} is no sentence of the foreign corpus") from None
    return counts


def _count_words(gold: Sequence[Sequence[Any]], predictions: Any) -> Counts:
    """[sentences, 2]: right words, words."""
    _check_words(predictions, gold)
    return _whole((sum(map(eq, ours, right)), len(right)) for ours, right in zip(predictions, gold, strict=True))


def _count_labels(gold: Sequence[str], positive: str, predictions: Sequence[str]) -> Counts:
    """[examples, 4]: whether the label is right; of the positive one, whether it is right, predicted, gold."""
    pairs = zip(predictions, gold, strict=True)
    return _whole((p == g, p == g == positive, p == positive, g == positive) for p, g in pairs)


def _whole(counts: Iterable[Sequence[int]]) -> Counts:
    return np.array(list(counts), np.uint16)


def _check_words(predictions: Sequence[Sequence[Any]], gold: Sequence[Sequence[Any]]) -> None:
    if list(map(len, predictions)) != list(map(len, gold)):
        raise ValueError("the sentences are not those of the examples")


# --- scores of means


def _mean(means: Means) -> Means:
    return means[..., 0]


def _f1(means: Means) -> Means:
    """2 right / (predicted + gold), 0 where there is neither."""
    right, found, wanted = np.moveaxis(means, -1, 0)
    either = found + wanted
    return 200 * np.divide(right, either, out=np.zeros_like(either), where=either > 0)


def _share(means: Means) -> Means:
    return 100 * means[..., 0] / means[..., 1]


def _accuracy_and_f1(means: Means) -> Means:
    return (100 * means[..., 0] + _f1(means[..., 1:])) / 2
