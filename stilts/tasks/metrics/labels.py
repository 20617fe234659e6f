"""Metrics of labels: one answer per example (classification, multiple choice, Tatoeba's line numbers).

Labels are compared as text, so that 3 equals "3".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stilts.tasks.metrics.base import (
    Counts,
    Facts,
    Metric,
    Sums,
    check_number,
    f1_score,
    mean_of,
    ratio,
    register,
    whole,
)


def count_right(predictions: Sequence[Any], gold: Sequence[Any], facts: Facts) -> Counts:
    """uint16 [examples, 1]: whether the label is right."""
    check_number(predictions, gold)
    return whole(((str(p) == str(g),) for p, g in zip(predictions, gold, strict=True)), 1)


def count_binary(predictions: Sequence[Any], gold: Sequence[Any], facts: Facts) -> Counts:
    """uint16 [examples, 4]: right; of the second label (the positive one): right, predicted, gold."""
    check_number(predictions, gold)
    positive = facts.labels[1]
    pairs = ((str(p), str(g)) for p, g in zip(predictions, gold, strict=True))
    return whole(((p == g, p == g == positive, p == positive, g == positive) for p, g in pairs), 4)


def count_by_label(predictions: Sequence[Any], gold: Sequence[Any], facts: Facts) -> Counts:
    """uint16 [examples, 3 x labels]: of each label, whether it is right, predicted and gold. Labels that only occur in
    the gold, because the training data lacks them, follow those of the task."""
    check_number(predictions, gold)
    index = {label: i for i, label in enumerate(dict.fromkeys([*facts.labels, *sorted(map(str, gold))]))}
    counts = np.zeros((len(gold), len(index), 3), np.uint16)
    for item, (ours, right) in enumerate(zip(map(str, predictions), map(str, gold), strict=True)):
        counts[item, index[right], 2] = 1
        if ours in index:
            counts[item, index[ours], 1] = 1
            counts[item, index[ours], 0] = ours == right
    return counts.reshape(len(gold), -1)


def _accuracy(sums: Sums, items: float) -> NDArray[np.float64]:
    return sums[..., 0] / items * 100


def _positive_f1(sums: Sums, items: float) -> NDArray[np.float64]:
    return f1_score(*np.moveaxis(sums[..., 1:], -1, 0))


def _by_label(sums: Sums) -> Sums:
    """float64 [3, ..., labels]: right, predicted and gold."""
    return np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)


def _macro_f1(sums: Sums, items: float) -> NDArray[np.float64]:
    """The mean F1 of the labels that are predicted or gold, as scikit-learn's f1_score(average="macro")."""
    right, found, wanted = _by_label(sums)
    return ratio(f1_score(right, found, wanted).sum(axis=-1), (found + wanted > 0).sum(axis=-1))


def _weighted_f1(sums: Sums, items: float) -> NDArray[np.float64]:
    """The mean F1 of the labels, each weighted by its gold examples, as f1_score(average="weighted")."""
    right, found, wanted = _by_label(sums)
    return ratio((f1_score(right, found, wanted) * wanted).sum(axis=-1), wanted.sum(axis=-1))


def _matthews(sums: Sums, items: float) -> NDArray[np.float64]:
    """Matthews' correlation coefficient, for any number of labels (Gorodkin 2004), times 100."""
    right, found, wanted = _by_label(sums)
    size = wanted.sum(axis=-1)
    covariance = right.sum(axis=-1) * size - (found * wanted).sum(axis=-1)
    spreads = (size**2 - (found**2).sum(axis=-1)) * (size**2 - (wanted**2).sum(axis=-1))
    return ratio(covariance, np.sqrt(np.maximum(spreads, 0))) * 100


def _two_labels(labels: tuple[str, ...]) -> str | None:
    if len(labels) == 2:
        return None
    return f"it is the F1 of the second of two labels, and there are {len(labels)}; use macro_f1 or weighted_f1"


_F1 = Metric("f1", "labels", count_binary, _positive_f1, refuse=_two_labels)
_ACCURACY_BESIDE_F1 = Metric("accuracy", "labels", count_binary, _accuracy)

register(
    Metric("accuracy", "labels", count_right, _accuracy),
    _F1,
    mean_of(_ACCURACY_BESIDE_F1, _F1),  # GLUE's number for QQP
    Metric("macro_f1", "labels", count_by_label, _macro_f1, by_label=True),
    Metric("weighted_f1", "labels", count_by_label, _weighted_f1, by_label=True),
    Metric("matthews", "labels", count_by_label, _matthews, by_label=True),
)
