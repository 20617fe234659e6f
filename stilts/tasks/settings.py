"""Evaluation settings: which values each of them can have."""

from collections.abc import Mapping
from typing import Any

from stilts.tasks.base import Task

BOUNDS: dict[str, tuple[float, float]] = {
    "max_length": (8, 2**20),
    "stride": (1, 2**20),
    "max_query_length": (1, 2**20),
    "n_best": (1, 10_000),
    "max_answer_length": (1, 2**20),
    "layer": (1, 10_000),
    "layers": (1, 10_000),
    "null_threshold": (-1e6, 1e6),
}
"""Least and largest value. Lengths in subword tokens, layers counted from 1, the threshold in logits."""

CHOICES: dict[str, tuple[str, ...]] = {"pooling": ("mean", "cls"), "extraction": ("ours", "official")}
"""Settings that are one of some words."""

_QA: dict[str, Any] = {"extraction": "ours"}

OPTIONAL: dict[str, dict[str, Any]] = {"answers": _QA, "answers or none": _QA, "MLQA answers": _QA}
"""Kind of answers -> settings that each of its tasks has beside its own, with their defaults. An evaluation records one
only where it is not the default.

`extraction`: `official` takes the text of an answer as XTREME's run_squad.py does (all white-space words in full where
it does not find the answer in them), for a comparison in kind with published results; `ours` slices the context."""


def known_settings(task: Task) -> dict[str, Any]:
    """Every setting that a task has, with its default."""
    optional = (OPTIONAL.get(kind, {}) for kind in task.scored_as)
    return {name: value for found in (*optional, task.settings) for name, value in found.items()}


def recorded_settings(task: Task, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the optional ones that have their default."""
    defaults = {} if not task.scored_as else OPTIONAL.get(task.scored_as[0], {})
    return {name: value for name, value in settings.items() if name not in defaults or value != defaults[name]}


def setting_problem(name: str, value: Any, default: Any) -> str | None:
    """What is wrong with the value of a setting; None where it is right.

    Args:
        default: the task's own value. Where it is None, None and numbers are values.
    """
    if default is None:
        if value is None:
            return None
        if type(value) not in (int, float):
            return f"{value!r} is not a number"
    elif type(value) is not type(default):
        return f"{value!r} is not like its default, {default!r}"
    if name in CHOICES and value not in CHOICES[name]:
        return f"{value!r} is not one of {', '.join(CHOICES[name])}"
    low, high = BOUNDS.get(name, (float("-inf"), float("inf")))
    if isinstance(value, int | float) and not low <= value <= high:
        return f"{value} is not between {low:,} and {high:,}"
    return None


def combination_problem(settings: Mapping[str, Any]) -> str | None:
    """What is wrong with settings that are right one by one; None where nothing is.

    A stride above the length is right: windows start no further apart than they are long.
    """
    layer, layers = settings.get("layer"), settings.get("layers")
    if isinstance(layer, int) and isinstance(layers, int) and layer > layers:
        return f"layer {layer} must be at most layers, which is {layers}"
    return None
