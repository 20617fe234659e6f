"""How much room a run needs on disks: that of the store, and that of the temporary folder.

While a stage trains, two resume states exist for a moment: the new one is complete before the old one is removed. Its
weights are written to a temporary folder first, and copied to the store beside what is there.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stilts.experiment.experiment import Experiment
from stilts.plan.cost.estimate import StageCost

RESUME_STATES = 2


@dataclass(frozen=True)
class DiskNeed:
    """Bytes that a run adds to disks.

    Attributes:
        end: what stays in the store.
        peak: largest addition to the store during the run.
        scratch: the part of `peak` that lies in the node's cache if the store is a bucket.
        staged: largest addition to the temporary folder, if all trials run on one machine.
    """

    end: int
    peak: int
    scratch: int
    staged: int


def disk_need(costs: Mapping[str, StageCost], trials: int, *, search: bool = False) -> DiskNeed:
    """Estimate the room that a run needs when its `trials` largest stages run at the same time.

    Args:
        costs: by stage key.
        trials: number of trials that run at the same time.
        search: whether stages like the largest one are proposed again and again, so that `trials` of them run at the
            same time, and each keeps its weights until another trial is better.
    """
    largest = _sum_of_largest if not search else _multiple
    weights = max((cost.weight_bytes for cost in costs.values()), default=0) * trials if search else 0
    end = sum(cost.weight_bytes + cost.prediction_bytes for cost in costs.values())
    scratch = largest(costs, lambda cost: RESUME_STATES * cost.resume_bytes, trials)
    working = largest(costs, lambda cost: RESUME_STATES * cost.resume_bytes + cost.weight_bytes, trials)
    staged = largest(costs, lambda cost: cost.staged_bytes, trials)
    return DiskNeed(end, end + weights + working, scratch, staged)


def _sum_of_largest(costs: Mapping[str, StageCost], size: Callable[[StageCost], int], count: int) -> int:
    return sum(heapq.nlargest(count, map(size, costs.values())))


def _multiple(costs: Mapping[str, StageCost], size: Callable[[StageCost], int], count: int) -> int:
    return count * max(map(size, costs.values()), default=0)


def declared_trials(experiment: Experiment) -> int | None:
    """Return the largest number of trials that the experiment allows at the same time.

    It is `runtime.max_parallel`, or the number that fits on the nodes of `cluster` if that is smaller. None if the
    experiment declares neither.
    """
    runtime, cluster = experiment.runtime, experiment.cluster
    if cluster is None:
        return runtime.max_parallel
    places = cluster.places(runtime)
    room = sum(node.max_nodes * places[name] for name, node in cluster.nodes.items()) // runtime.ranks
    return min(room, runtime.max_parallel or room)
