"""Metrics: what the predictions of a task are scored by, found by name.

A metric is defined once, as the counts that each item adds and a score of the summed counts (see `base.Metric`). The
official scores, the bootstrap over test items and model selection all use that definition.

To add a metric, call `register(Metric(...))` in a module of this package; all of its modules are imported. A task then
names the metric in `Task.metric` or `Task.metrics`.
"""

import importlib
import pkgutil

from stilts.tasks.metrics import answers, labels, retrieval, sentences
from stilts.tasks.metrics.base import Counts, Facts, Metric, Sums, check_metrics, find_metric, metrics_of, register
from stilts.tasks.metrics.retrieval import RANKS

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "RANKS",
    "Counts",
    "Facts",
    "Metric",
    "Sums",
    "answers",
    "check_metrics",
    "find_metric",
    "labels",
    "metrics_of",
    "register",
    "retrieval",
    "sentences",
]
