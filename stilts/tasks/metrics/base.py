"""The definition of a metric and the registry that finds metrics by name.

`find_metric(("rankings",), "map@20", "lareqa")` returns a metric or raises an error that names the nearest one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stilts.discovery import tracked
from stilts.errors import StiltsError, nearest

Counts = NDArray[Any]
"""uint16 or float64 [items, width]: what each item of a test set adds to the sums of a metric."""

Sums = NDArray[np.float64]
"""float64 [..., width]: counts summed over a test set, or over bootstrap samples of one."""


@dataclass(frozen=True)
class Facts:
    """What a metric may depend on besides predictions and gold.

    Attributes:
        language: of the test set; only MLQA's normalisation reads it.
        labels: the task's labels in index order; empty where they come from the training data.
        items: the ids of all items, where gold does not list every item (BUCC: the sentences of the foreign corpus).
            None: the items are those that occur in the predictions or in the gold.
    """

    language: str = "en"
    labels: tuple[str, ...] = ()
    items: Sequence[str] | None = None


Count = Callable[[Any, Any, Facts], Counts]
"""`count(predictions, gold, facts)`: the counts of every item. Raises ValueError where the two do not align."""

Score = Callable[[Sums, float], NDArray[np.float64]]
"""`score(sums, items)`: the metric in percent, float64 [...], of counts that were summed over so many items."""


@dataclass(frozen=True)
class Metric:
    """One number that predictions are scored by: counts per item, and a score of the summed counts.

    Every metric here is a function of sums over items. The F1 of a test set is computed from the sums of right,
    predicted and gold chunks, so that the score of a bootstrap sample is the score of the sample's sums.

    Attributes:
        name: as tables and score files show it. Metrics of different kinds of answers may share a name.
        of: the kind of answers that it scores, such as `labels`, `entities` or `rankings` (see `Family.scored_as`).
        count: counts per item. Metrics that share this function (F1, precision, recall) are counted together.
        score: the metric in percent from the sums. `items` is the number of items that were summed.
        parts: metrics of the same kind whose mean this one is; empty if it is none.
        by_label: whether it is computed of each of the task's labels, so that the task must have some.
        refuse: returns why the metric cannot be computed for these labels, or None where it can.
    """

    name: str
    of: str
    count: Count
    score: Score
    parts: tuple[str, ...] = ()
    by_label: bool = False
    refuse: Callable[[tuple[str, ...]], str | None] = lambda labels: None


LOSS = "loss"
"""The metric of a family whose training loss is all that it yields."""

_METRICS: dict[tuple[str, str], Metric] = tracked({})


def register(*metrics: Metric) -> None:
    """Add metrics to the registry.

    Raises:
        StiltsError: answers of this kind have a metric of this name already.
    """
    for metric in metrics:
        if (metric.of, metric.name) in _METRICS:
            raise StiltsError(f"two metrics of {metric.of} are called {metric.name!r}; rename the new one")
        _METRICS[metric.of, metric.name] = metric


def metrics_of(kinds: Iterable[str]) -> dict[str, Metric]:
    """The metrics of these kinds of answers by name; of one name, the metric of the first kind that has it."""
    found: dict[str, Metric] = {}
    for kind in kinds:
        for (of, name), metric in _METRICS.items():
            if of == kind:
                found.setdefault(name, metric)
    return found


def kinds_of_answers() -> tuple[str, ...]:
    """Every kind of answers that has a metric."""
    return tuple(dict.fromkeys(of for of, _ in _METRICS))


def find_metric(kinds: Sequence[str], name: str, who: str) -> Metric:
    """The metric of this name for answers of one of these kinds.

    Args:
        who: the task that asks, for the message.

    Raises:
        StiltsError: there is none; the message names the nearest.
    """
    known = metrics_of(kinds)
    if name not in known:
        raise StiltsError(f"{who}: no metric {name!r} of {' or '.join(kinds)}; {nearest(name, known)}")
    return known[name]


def check_metrics(
    who: str,
    kinds: Sequence[str],
    labels: tuple[str, ...],
    main: str,
    metrics: Sequence[str],
    *,
    open_labels: bool = False,
) -> None:
    """Pass where every metric that a task declares can be computed of its answers.

    Args:
        who: the task, for the messages.
        kinds: kinds of its answers; empty where its family makes no predictions.
        main: the metric of its main number.
        metrics: every metric that it declares.
        open_labels: whether the labels are read from the training data where the task declares none.

    Raises:
        StiltsError: a metric is unknown or cannot be computed, or the main number is not among the declared ones. The
            message names the nearest metric that can be computed.
    """
    if not kinds:
        if {main, *metrics} != {LOSS}:
            raise StiltsError(f"{who}: its family makes no predictions to score, so its metric is {LOSS!r}")
        return
    if unknown := [kind for kind in kinds if kind not in kinds_of_answers()]:
        raise StiltsError(f"{who}: no answers {unknown[0]!r}; {nearest(unknown[0], kinds_of_answers())}")
    for name in dict.fromkeys((main, *metrics)):
        metric = find_metric(kinds, name, who)
        lacking = metric.by_label and not (labels or open_labels)
        if reason := "the task declares no labels; use accuracy" if lacking else metric.refuse(labels):
            raise StiltsError(f"{who}: its metric {name!r} cannot be computed: {reason}")
    needed = find_metric(kinds, main, who).parts or (main,)
    if missing := [name for name in needed if name not in metrics]:
        raise StiltsError(f"{who}: its metric {main!r} needs {', '.join(missing)} in metrics={tuple(metrics)}")


def total(counts: Counts) -> Sums:
    """The sums of counts, float64 [width], added one item after the other.

    The official scripts add item by item; numpy's `sum` adds in pairs and can differ in the last digit.
    """
    if not len(counts):
        return np.zeros(counts.shape[1:])
    return np.add.accumulate(counts, axis=0, dtype=np.float64)[-1]


def f1_score(right: Sums, found: Sums, wanted: Sums) -> NDArray[np.float64]:
    """F1 in percent, computed from precision and recall as seqeval and BUCC's script do; 0 where nothing is right."""
    precision, recall = ratio(right, found), ratio(right, wanted)
    return ratio(2 * precision * recall, precision + recall) * 100


def ratio(part: Sums, whole: Sums) -> NDArray[np.float64]:
    """`part / whole`, and 0 where `whole` is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)


def overlap_metrics(of: str, count: Count) -> tuple[Metric, ...]:
    """F1, precision and recall of things that are counted as [right, predicted, gold] per item."""
    return (
        Metric("f1", of, count, lambda sums, items: f1_score(*np.moveaxis(sums, -1, 0))),
        Metric("precision", of, count, lambda sums, items: ratio(sums[..., 0], sums[..., 1]) * 100),
        Metric("recall", of, count, lambda sums, items: ratio(sums[..., 0], sums[..., 2]) * 100),
    )


def mean_of(first: Metric, second: Metric, name: str = "metric") -> Metric:
    """The mean of two metrics with the same counts, which evaluate.py calls `metric`."""

    def score(sums: Sums, items: float) -> NDArray[np.float64]:
        return (first.score(sums, items) + second.score(sums, items)) / 2

    return Metric(name, first.of, first.count, score, parts=(first.name, second.name), refuse=second.refuse)


def check_number(predictions: Sequence[Any], gold: Sequence[Any]) -> None:
    """Raise ValueError unless there are as many predictions as examples."""
    if len(predictions) != len(gold):
        raise ValueError(f"{len(predictions)} predictions, and {len(gold)} examples")


def whole(counts: Iterable[Sequence[int]], width: int) -> Counts:
    """Counts of whole numbers as an array, uint16 [items, width]."""
    return np.array(list(counts), np.uint16).reshape(-1, width)
