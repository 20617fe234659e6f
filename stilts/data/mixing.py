"""Mixing: how often each task of a stage is drawn."""

from collections.abc import Mapping

from stilts.spec.stage import Mixing


def shares(sizes: Mapping[str, int], mixing: Mixing) -> dict[str, float]:
    """Share of the steps of each task; they add up to 1.

    Args:
        sizes: examples by task.
    """
    if mixing.sampling == "uniform":
        weights = dict.fromkeys(sizes, 1.0)
    else:
        power = 1 / mixing.temperature if mixing.sampling == "temperature" else 1.0
        weights = {task: min(size, mixing.cap) ** power for task, size in sizes.items()}
    given = {task: mixing.probabilities[task] for task in sizes if task in mixing.probabilities}
    left = sum(weight for task, weight in weights.items() if task not in given)
    rest = 1 - sum(given.values())
    return {task: given[task] if task in given else rest * weights[task] / left for task in sizes}
