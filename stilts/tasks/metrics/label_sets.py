"""Metrics of multi-label classification: sets of labels, compared label by label."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from stilts.tasks.metrics.base import Counts, Facts, Metric, Sums, check_number, f1_score, register


def count_sets(predictions: Sequence[Collection[str]], gold: Sequence[Collection[str]], facts: Facts) -> Counts:
    """uint16 [texts, 1 + 3 x labels]: whether the set is right; of each label, whether it is right, predicted and gold.

    Labels that only occur in the gold, because the training data lacks them, follow those of the task.
    """
    check_number(predictions, gold)
    extra = sorted({label for labels in gold for label in labels})
    index = {label: i for i, label in enumerate(dict.fromkeys([*facts.labels, *extra]))}
    equal = np.zeros((len(gold), 1), np.uint16)
    counts = np.zeros((len(gold), len(index), 3), np.uint16)
    for text, (ours, right) in enumerate(zip(map(set, predictions), map(set, gold), strict=True)):
        equal[text] = ours == right
        for column, labels in enumerate((ours & right, ours, right)):
            counts[text, [index[label] for label in labels if label in index], column] = 1
    return np.concatenate([equal, counts.reshape(len(gold), -1)], axis=1)


def _by_label(sums: Sums) -> Sums:
    """float64 [3, ..., labels]: right, predicted and gold."""
    return np.moveaxis(sums[..., 1:].reshape(*sums.shape[:-1], -1, 3), -1, 0)


def _micro_f1(sums: Sums, items: float) -> NDArray[np.float64]:
    """The F1 of all pairs of a text and a label, as scikit-learn's f1_score(average="micro")."""
    return f1_score(*_by_label(sums).sum(axis=-1))


def _macro_f1(sums: Sums, items: float) -> NDArray[np.float64]:
    """The mean F1 of all labels, 0 for one that is neither predicted nor gold, as f1_score(average="macro")."""
    return f1_score(*_by_label(sums)).mean(axis=-1)


register(
    Metric("micro_f1", "label sets", count_sets, _micro_f1, by_label=True),
    Metric("macro_f1", "label sets", count_sets, _macro_f1, by_label=True),
    Metric("exact_match", "label sets", count_sets, lambda sums, items: sums[..., 0] / items * 100, by_label=True),
)
