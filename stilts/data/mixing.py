"""Mixing: selects the task of each optimizer step in a stage of several tasks.

An optimizer step trains one task, so that all its micro-batches have the same form. The k-th step of a task takes the
k-th batch of that task's own sampler. The order of the tasks depends only on their shares, the number of steps and the
seed, never on the number of ranks or on memory.

The sampling rules are those of T5 (arXiv:1910.10683, section 3.5.2): proportional to the number of examples up to a
limit K (`Mixing.cap`), the same with a temperature, or uniform.
"""

from collections.abc import Mapping

import numpy as np

from stilts.data.batching import largest_remainders
from stilts.errors import Problems, StiltsError, nearest
from stilts.identity.stage import Mixing


def shares(sizes: Mapping[str, int], mixing: Mixing) -> dict[str, float]:
    """Share of the optimizer steps for each task; the shares add up to 1.

    A task with a probability of its own gets that share. The other tasks divide the rest in proportion to min(size, K),
    to its T-th root (temperature T), or equally.

    Args:
        sizes: number of training examples of each task, at least 1.

    Raises:
        Problems: a probability is given for an unknown task, or the probabilities do not add up.
    """
    given = mixing.probabilities
    others = [task for task in sizes if task not in given]
    problems = [f"mixing: probability of {task!r}: {nearest(task, sizes)}" for task in given if task not in sizes]
    total = sum(given.values())
    if others and total >= 1:
        problems.append(f"mixing: the probabilities add up to {total:g} and leave nothing for {', '.join(others)}")
    if not others and abs(total - 1) > 1e-6:
        problems.append(f"mixing: the probabilities of all tasks add up to {total:g}, not to 1")
    if problems:
        raise Problems(problems)
    weights = {task: _weight(sizes[task], mixing) for task in others}
    whole = sum(weights.values())
    return {task: given[task] if task in given else (1 - total) * weights[task] / whole for task in sizes}


def _weight(size: int, mixing: Mixing) -> float:
    capped = float(min(size, mixing.cap))
    return {"proportional": capped, "temperature": capped ** (1 / mixing.temperature), "uniform": 1.0}[mixing.sampling]


def epoch_items(items: Mapping[str, int], shares: Mapping[str, float], mixing: Mixing) -> float:
    """Number of items in one epoch of a mixture.

    An epoch is so long that the tasks without a probability of their own train on min(items, K) items each, in sum.
    Tasks with a probability come in addition and make the epoch longer. Example: a task that is interleaved with masked
    language modelling at probability 1/2 has twice as many steps per epoch, and trains on each of its items once. If
    every task has a probability, the tasks train on min(items, K) items each, in sum.

    Args:
        items: number of items of each task, as a batch counts them (examples, or windows of long examples).
        shares: share of the steps of each task.
    """
    others = [task for task in items if task not in mixing.probabilities] or list(items)
    return sum(min(items[task], mixing.cap) for task in others) / sum(shares[task] for task in others)


def step_counts(shares: Mapping[str, float], steps: int) -> np.ndarray:
    """Number of optimizer steps of each task, int64 [tasks]: its share of `steps`, rounded by largest remainders.

    Raises:
        StiltsError: the share of a task is so small that it gets no step.
    """
    counts = largest_remainders(np.array(list(shares.values())), steps)
    for (task, share), count in zip(shares.items(), counts, strict=True):
        if count == 0:
            raise StiltsError(
                f"mixing: {task} gets none of {steps} steps (its share is {share:.2g}); train longer, or give it a "
                "probability"
            )
    return counts


def schedule(shares: Mapping[str, float], steps: int, seed: int) -> np.ndarray:
    """Task of each optimizer step, int64 [steps], as indices into `shares`.

    Every task gets the number of steps from `step_counts`, in an order that the seed shuffles.

    Raises:
        StiltsError: the share of a task is so small that it gets no step.
    """
    counts = step_counts(shares, steps)
    return np.random.default_rng((seed, len(counts))).permutation(np.repeat(np.arange(len(counts)), counts))


def own_steps(tasks: np.ndarray) -> np.ndarray:
    """For each step of a schedule, the number of earlier steps of the same task: int64 [steps]."""
    before = np.empty_like(tasks)
    for task in np.unique(tasks):
        where = np.flatnonzero(tasks == task)
        before[where] = np.arange(len(where))
    return before
