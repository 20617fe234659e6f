"""The scores of a task's predictions: what XTREME's evaluate.py computes, to the last digit, and the main number."""

from collections.abc import Mapping
from typing import Any

from stilts.errors import StiltsError
from stilts.tasks.base import Task, get_task
from stilts.tasks.metrics import Counts, Facts, Metric, find_metric
from stilts.tasks.metrics.base import total

Scores = dict[str, float]
"""Metric name -> percent."""


def score(task: str | Task, language: str, predictions: Any, gold: Any) -> Scores:
    """The metrics that a task declares, in percent, in one language.

    Args:
        task: a task, or its name in the library; unknown names raise StiltsError.
        language: only MLQA's normalisation depends on it.
        predictions: labels, one per example (classification, multiple choice, Tatoeba's line numbers; compared as
            text, so that 3 equals "3"); lists of tags, or of (head, relation), one per sentence; `{id: answer}`; for
            rankings `{id: [candidates, best first]}`; for BUCC, pairs of ids.
        gold: the same; for question answering `{id: [accepted answers]}`, for rankings `{id: [right candidates]}`. An
            id without a prediction scores 0.

    Returns:
        A value for each of `Task.metrics`.

    Raises:
        ValueError: there is nothing to score, or predictions and gold do not align.
    """
    task = get_task(task) if isinstance(task, str) else task
    if not gold:
        raise ValueError(f"{task.name}/{language}: no gold to score against")
    facts, counted = Facts(language, task.labels), dict[Any, Counts]()
    scores = {}
    for name in task.metrics:
        metric = _metric(task, name)
        if metric.count not in counted:
            counted[metric.count] = metric.count(predictions, gold, facts)
        counts = counted[metric.count]
        scores[name] = float(metric.score(total(counts), len(counts)))
    return scores


def main_metric(task: Task) -> Metric:
    """The metric of a task's main number, `Task.metric`.

    Raises:
        StiltsError: the task makes no predictions (masked language modelling).
    """
    return _metric(task, task.metric)


def needs_labels(task: Task) -> bool:
    """Whether the main number is computed of each label, and the labels are those of the training data, so that who
    scores predictions again must be told which these were."""
    return task.reads_labels and main_metric(task).by_label


def main_number(task: str | Task, scores: Mapping[str, float]) -> float:
    """A task's main number, computed from its scores or from averages of them.

    It is the value of `Task.metric`, or, where that is a mean of two metrics, the mean of their values.
    """
    task = get_task(task) if isinstance(task, str) else task
    parts = main_metric(task).parts
    if not parts:
        return scores[task.metric]
    first, second = parts
    return (scores[first] + scores[second]) / 2


def _metric(task: Task, name: str) -> Metric:
    if not task.scored_as:
        raise StiltsError(f"{task.name} makes no predictions that could be scored")
    return find_metric(task.scored_as, name, f"task {task.name}")
