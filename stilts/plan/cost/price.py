"""Price: what the jobs of a plan are expected to cost on the nodes of the experiment's `cluster:` section.

Arithmetic, of first order in the rate of interruptions: a node that is lost interrupts every trial on it. A trial that
can write its state within the notice loses nothing but a cold start; another one loses what it did since its last
resume state, half of `checkpoint_seconds` on average and never more than half of what it does at all. Each loss brings
a new node, whose boot is paid for. Idle nodes are left out: `simulate` tells of them.
"""

from dataclasses import asdict, dataclass
from typing import Any

from stilts.experiment.machines import Cluster, NodeType
from stilts.experiment.runtime import Runtime
from stilts.plan.cost.estimate import StageCost
from stilts.plan.summary import Plan

COLD_SECONDS = 10.0
"""From a placed gang to its first optimizer step: processes, imports, connection (`benchmarks/stage_overhead.py`)."""
WARM_SECONDS = 0.5
"""The same in a gang that has just ended another stage."""
SAVE_BYTES_PER_SECOND = 3e8
"""At which a resume state is assumed to reach the store."""
STEP_SECONDS = 2.0
"""Assumed wait for the end of the optimizer step under way, before a trial can write its state."""


@dataclass(frozen=True)
class Expected:
    """What is to be expected of a run.

    Attributes:
        gpu_hours: of trials (of CPU ranks, where no GPUs train), with what is lost.
        lost_gpu_hours: of these, what interruptions cost: work done again, and cold starts.
        interruptions: nodes lost.
        cost: in the cluster's currency; boots and nodes without trials included.
    """

    gpu_hours: float = 0.0
    lost_gpu_hours: float = 0.0
    interruptions: float = 0.0
    cost: float = 0.0

    def __add__(self, other: "Expected") -> "Expected":
        return Expected(*(mine + theirs for mine, theirs in zip(_figures(self), _figures(other), strict=True)))

    def __mul__(self, share: float) -> "Expected":
        return Expected(*(share * figure for figure in _figures(self)))


def _figures(expected: Expected) -> tuple[float, ...]:
    return tuple(asdict(expected).values())


def price(plan: Plan, cluster: Cluster) -> tuple[Expected, dict[str, Expected]]:
    """What the plan's jobs are expected to cost on the whole cluster, and on the nodes of each type alone.

    On the whole cluster, each type does its share by its speed; nodes without room for a rank cost as long as the
    run lasts at least.
    """
    runtime = plan.expansion.experiment.runtime
    places = cluster.places(runtime)
    alone = {name: _alone(plan, node, places[name]) for name, node in cluster.nodes.items() if places[name]}
    power = {
        name: cluster.nodes[name].max_nodes * places[name] * rank_flops(plan, cluster.nodes[name]) for name in alone
    }
    whole = Expected()
    for name, expected in alone.items():
        whole += expected * (power[name] / sum(power.values()))
    beside = sum(node.min_nodes * node.price_per_hour for name, node in cluster.nodes.items() if not places[name])
    return whole + Expected(cost=beside * least_seconds(plan, cluster) / 3600), alone


def priced(plan: Plan) -> dict[str, Any] | None:
    """The figures of `price` in plain JSON types; None where the experiment describes no cluster.

    `hours_at_least` is the lower bound of the time that a run takes.
    """
    cluster = plan.expansion.experiment.cluster
    if cluster is None:
        return None
    whole, alone = price(plan, cluster)
    return {
        "currency": cluster.currency,
        **_rounded(whole),
        "hours_at_least": round(least_seconds(plan, cluster) / 3600, 4),
        "by_node_type": {name: _rounded(expected) for name, expected in alone.items()},
    }


def _rounded(expected: Expected) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(expected).items()}


def rank_flops(plan: Plan, node: NodeType) -> float:
    """Operations per second of one rank on a node of this type."""
    return node.flops or plan.speed.flops


def _alone(plan: Plan, node: NodeType, places: int) -> Expected:
    """All jobs on nodes of one type."""
    runtime = plan.expansion.experiment.runtime
    ranks, flops = runtime.ranks, rank_flops(plan, node)
    per_second = node.losses_per_hour / 3600 * -(-ranks // places)
    work = lost = 0.0
    for cost in plan.costs.values():
        seconds = cost.flops / flops / ranks
        work += seconds * ranks
        lost += seconds * per_second * (lost_seconds(seconds, cost, node, runtime) + COLD_SECONDS) * ranks
    gpu_hours = (work + lost) / 3600
    losses = node.losses_per_hour * gpu_hours / places
    nodes = min(node.max_nodes, -(-len(plan.jobs) * ranks // places))
    hours = gpu_hours / places + (nodes + losses) * node.boot_seconds / 3600
    return Expected(gpu_hours, lost / 3600, losses, hours * node.price_per_hour)


def lost_seconds(seconds: float, cost: StageCost, node: NodeType, runtime: Runtime) -> float:
    """Seconds of a trial that an interruption undoes on average, at a random moment of a stage of so many seconds."""
    return 0.0 if suffices(cost, node) else min(runtime.checkpoint_seconds, seconds) / 2


def suffices(cost: StageCost, node: NodeType) -> bool:
    """Whether a stage's state can be written within the notice."""
    return node.notice_seconds >= save_seconds(cost)


def save_seconds(cost: StageCost) -> float:
    """From the notice to the end of a trial that writes its state."""
    return STEP_SECONDS + cost.resume_bytes / SAVE_BYTES_PER_SECOND


def least_seconds(plan: Plan, cluster: Cluster) -> float:
    """No run takes less: the longest chain on the fastest nodes, and all work spread over all places."""
    runtime = plan.expansion.experiment.runtime
    places = cluster.places(runtime)
    types = [(places[name], node) for name, node in cluster.nodes.items() if places[name]]
    fastest = max(rank_flops(plan, node) for _, node in types)
    power = sum(node.max_nodes * room * rank_flops(plan, node) for room, node in types)
    at_once = runtime.max_parallel
    if at_once is not None:
        power = min(power, at_once * runtime.ranks * fastest)
    work = sum(cost.flops for cost in plan.costs.values())
    return max(work / power, longest_chain(plan) / runtime.ranks / fastest)


def longest_chain(plan: Plan) -> float:
    """Operations of the jobs on the longest path of the graph."""
    done: dict[str, float] = {}
    for key, cost in plan.costs.items():  # parents first
        parent = plan.expansion.graph.nodes[key].parent
        done[key] = cost.flops + done.get(str(parent), 0.0)
    return max(done.values(), default=0.0)
