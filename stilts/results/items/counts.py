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
from functools import cache, partial
from operator import eq
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stilts.evaluate.candidates import Pool
from stilts.evaluate.gold import gold_of
from stilts.tasks.base import Task
from stilts.tasks.metrics import chunks_of, main_number, score

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
    if task.name == "bucc2018":
        ids = table.filter(pc.equal(table["side"], "foreign"))["id"].to_pylist()
        return Items(len(ids), partial(_count_pairs, {id_: row for row, id_ in enumerate(ids)}, gold), _f1)
    return Items(len(gold), *_of_each(task, language, gold))


# --- counts


def _of_each(task: Task, language: str, gold: Any) -> tuple[Callable[[Any], Counts], Callable[[Means], Means]]:
    """How to count predictions that are given item by item, and how to score the means of these counts."""
    chunks = chunks_of(task)
    if chunks is not None:
        wanted = [set(chunks(tags)) for tags in gold]
        return partial(_count_chunks, chunks, gold, wanted), _f1
    if task.family in ("tagging", "parsing"):
        return partial(_count_words, gold), _share
    if task.family == "classification" and "f1" in task.metrics:
        return partial(_count_labels, gold, task.labels[1]), _accuracy_and_f1
    if isinstance(gold, Mapping):
        return partial(_score_answers, cache(partial(_score_one, task.name, language)), gold), _mean
    return partial(_score_labels, gold), _mean


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
    _check_number(predictions, gold)
    pairs = zip(predictions, gold, strict=True)
    return _whole((p == g, p == g == positive, p == positive, g == positive) for p, g in pairs)


def _score_labels(gold: Sequence[Any], predictions: Sequence[str]) -> Counts:
    """[examples, 1]: 100 where the label is right; compared as text, as `metrics.accuracy` does."""
    _check_number(predictions, gold)
    return np.array([[100.0 * (str(p) == str(g))] for p, g in zip(predictions, gold, strict=True)])


def _score_answers(score_one: Callable[..., float], gold: Mapping[str, Sequence[str]], predictions: Any) -> Counts:
    """[questions or queries, 1]: each one's own score; models that agree on an answer have it scored once."""
    answers = ((tuple(right), predictions.get(id_)) for id_, right in gold.items())
    return np.array([[score_one(right, tuple(a) if isinstance(a, list) else a)] for right, a in answers])


def _score_one(task: str, language: str, right: Sequence[str], answer: Any) -> float:
    """The official score of a question or query as if it were the only one; `answer` None: it has none."""
    return main_number(score(task, language, {} if answer is None else {"": answer}, {"": right}))


def _whole(counts: Iterable[Sequence[int]]) -> Counts:
    return np.array(list(counts), np.uint16)


def _check_number(predictions: Sequence[Any], gold: Sequence[Any]) -> None:
    if len(predictions) != len(gold):
        raise ValueError(f"{len(predictions)} predictions, and {len(gold)} examples")


def _check_words(predictions: Sequence[Sequence[Any]], gold: Sequence[Sequence[Any]]) -> None:
    _check_number(predictions, gold)
    if any(len(ours) != len(right) for ours, right in zip(predictions, gold, strict=True)):
        raise ValueError("the sentences have other lengths than those of the examples")


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
