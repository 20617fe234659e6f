"""Evaluation settings: which values each of them can have."""

from collections.abc import Mapping
from typing import Any

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

CHOICES: dict[str, tuple[str, ...]] = {"pooling": ("mean", "cls")}
"""Settings that are one of some words."""


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
    """What is wrong with settings that are right one by one; None where nothing is."""
    stride, length = settings.get("stride"), settings.get("max_length")
    if isinstance(stride, int) and isinstance(length, int) and stride >= length:
        return f"stride {stride} must be smaller than max_length {length}"
    layer, layers = settings.get("layer"), settings.get("layers")
    if isinstance(layer, int) and isinstance(layers, int) and layer > layers:
        return f"layer {layer} must be at most layers, which is {layers}"
    return None
