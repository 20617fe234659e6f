"""Which task an optimizer step trains, in a stage of several tasks.

A step belongs to one task, so that every micro-batch is of one kind; the k-th step of a task takes the k-th batch of
that task's own sampler. The order of the tasks is a function of shares, steps and seed: ranks and memory play no part.

Sampling rates are those of T5 (arXiv:1910.10683, section 3.5.2): examples-proportional with an artificial limit K,
temperature-scaled, equal.
"""

from collections.abc import Mapping

import numpy as np

from stilts.data.batching import largest_remainders
from stilts.errors import Problems, StiltsError, nearest
from stilts.identity.stage import Mixing


def shares(sizes: Mapping[str, int], mixing: Mixing) -> dict[str, float]:
    """Each task's share of the optimizer steps; they add up to 1.

    Explicit probabilities are taken as they are; the other tasks share the rest in proportion to min(size, K), to its
    T-th root, or equally.

    Args:
        sizes: training examples of each task, at least 1.

    Raises:
        Problems: a probability is of a task that is not there, or the probabilities do not add up.
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
    """Items of an epoch: so many that the tasks without a probability of their own see min(items, K) each, in sum.

    What has an explicit probability is seen beside them and makes the epoch longer: a task interleaved with masked
    language modelling at probability 1/2 takes twice the steps and still sees each of its items once. Where every
    task has a probability, min(items, K) of all of them.

    Args:
        items: what a batch counts, by task: examples, or their windows.
        shares: of the steps.
    """
    others = [task for task in items if task not in mixing.probabilities] or list(items)
    return sum(min(items[task], mixing.cap) for task in others) / sum(shares[task] for task in others)


def step_counts(shares: Mapping[str, float], steps: int) -> np.ndarray:
    """Optimizer steps of each task, int64 [tasks]: its exact share of them, rounded by largest remainders.

    Raises:
        StiltsError: the share of a task comes to no step at all.
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
    """Task of each optimizer step, int64 [steps], as indices into `shares`; a pure function of its arguments.

    Every task gets its `step_counts`; the seed shuffles them.

    Raises:
        StiltsError: the share of a task comes to no step at all.
    """
    counts = step_counts(shares, steps)
    return np.random.default_rng((seed, len(counts))).permutation(np.repeat(np.arange(len(counts)), counts))


def own_steps(tasks: np.ndarray) -> np.ndarray:
    """For each step of a schedule, how many steps of the same task came before it: int64, like `tasks`."""
    before = np.empty_like(tasks)
    for task in np.unique(tasks):
        where = np.flatnonzero(tasks == task)
        before[where] = np.arange(len(where))
    return before
