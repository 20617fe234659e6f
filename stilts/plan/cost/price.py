"""Price: the expected cost of a plan's jobs on the nodes of the experiment's `cluster:` section.

The formula is of first order in the rate of preemptions. A preempted node interrupts every trial on it. A trial that
can write its resume state within the notice loses only a cold start. Any other trial also repeats the work since its
last resume state: half of `checkpoint_seconds` on average, and at most half of the whole stage. Each lost node is
replaced, and the boot of the replacement is paid for. The cost of idle nodes is not included; `simulate` estimates it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stilts.experiment.machines import Cluster, NodeType
from stilts.experiment.runtime import Runtime
from stilts.plan.cost.estimate import StageCost
from stilts.plan.summary import Plan

COLD_SECONDS = 10.0
"""Seconds from the placement of a new gang to its first optimizer step: it starts processes, imports and connects
(measured by `benchmarks/stage_overhead.py`)."""
WARM_SECONDS = 0.5
"""Seconds to the first optimizer step in a warm gang, which has just finished another stage."""
SAVE_BYTES_PER_SECOND = 3e8
"""Assumed speed at which a resume state is written to the store."""
STEP_SECONDS = 2.0
"""Assumed seconds until the current optimizer step ends, after which a trial can write its resume state."""


@dataclass(frozen=True)
class Expected:
    """The expected figures of a run.

    Attributes:
        gpu_hours: GPU-hours of all trials (CPU-hours without GPUs), including repeated work.
        lost_gpu_hours: the part of `gpu_hours` that preemptions cause: repeated work and cold starts.
        interruptions: number of lost nodes.
        cost: price in the cluster's currency, including the boot of nodes and nodes without trials.
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
    """Expected cost of a plan on the whole cluster, and on the nodes of each type alone (by name of the node type).

    On the whole cluster, each node type does a share of the work proportional to its speed in the whole plan. Nodes
    that are too small for a rank (a head node, for example) are paid for `least_seconds`.
    """
    runtime = plan.expansion.experiment.runtime
    places = cluster.places(runtime)
    alone = {name: _alone(plan, name, places[name]) for name, node in cluster.nodes.items() if places[name]}
    power = {
        name: cluster.nodes[name].max_nodes * places[name] / max(sum(plan.node_seconds[name].values()), 1e-9)
        for name in alone
    }
    whole = Expected()
    for name, expected in alone.items():
        whole += expected * (power[name] / sum(power.values()))
    beside = sum(node.min_nodes * node.price_per_hour for name, node in cluster.nodes.items() if not places[name])
    return whole + Expected(cost=beside * least_seconds(plan, cluster) / 3600), alone


def priced(plan: Plan) -> dict[str, Any] | None:
    """The result of `price` in plain JSON types; None if the experiment has no `cluster:` section.

    `hours_at_least` is a lower bound on the duration of the run.
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


def _alone(plan: Plan, name: str, places: int) -> Expected:
    """Expected cost if all jobs run on nodes of one type, each with room for `places` ranks."""
    experiment = plan.expansion.experiment
    assert experiment.cluster is not None
    runtime, node = experiment.runtime, experiment.cluster.nodes[name]
    ranks = runtime.ranks
    per_second = node.losses_per_hour / 3600 * -(-ranks // places)
    work = lost = 0.0
    for key, seconds in plan.node_seconds[name].items():
        cost = plan.costs[key]
        work += seconds * ranks
        lost += seconds * per_second * (lost_seconds(seconds, cost, node, runtime) + COLD_SECONDS) * ranks
    gpu_hours = (work + lost) / 3600
    losses = node.losses_per_hour * gpu_hours / places
    nodes = min(node.max_nodes, -(-len(plan.jobs) * ranks // places))
    hours = gpu_hours / places + (nodes + losses) * node.boot_seconds / 3600
    return Expected(gpu_hours, lost / 3600, losses, hours * node.price_per_hour)


def lost_seconds(seconds: float, cost: StageCost, node: NodeType, runtime: Runtime) -> float:
    """Mean seconds of work that a trial repeats after a preemption at a random moment of a stage of `seconds`."""
    return 0.0 if suffices(cost, node) else min(runtime.checkpoint_seconds, seconds) / 2


def suffices(cost: StageCost, node: NodeType) -> bool:
    """Whether a trial can write its resume state between the preemption notice and the end of the node."""
    return node.notice_seconds >= save_seconds(cost)


def save_seconds(cost: StageCost) -> float:
    """Seconds that a trial needs after a preemption notice to finish its step and write its resume state."""
    return STEP_SECONDS + cost.resume_bytes / SAVE_BYTES_PER_SECOND


def least_seconds(plan: Plan, cluster: Cluster) -> float:
    """Lower bound on the duration of a run in seconds.

    It is the larger of two bounds: the longest chain on the fastest nodes, and the total work spread over all ranks
    that the cluster (or `max_parallel`) allows at once. A stage counts with its seconds on the node type that is
    fastest for it, and a node type with the stage at which it is best, so that the bound holds where one type is better
    at some stages and another one at others.
    """
    runtime = plan.expansion.experiment.runtime
    places = cluster.places(runtime)
    by_type = plan.node_seconds
    fastest = {key: min(seconds[key] for seconds in by_type.values()) for key in plan.costs}
    power = sum(
        cluster.nodes[name].max_nodes * places[name] / runtime.ranks
        * max((fastest[key] / took for key, took in seconds.items() if took), default=1.0)
        for name, seconds in by_type.items()
    )  # fmt: skip
    if runtime.max_parallel is not None:
        power = min(power, float(runtime.max_parallel))
    return max(sum(fastest.values()) / power, longest_chain(plan, fastest))


def longest_chain(plan: Plan, seconds: Mapping[str, float]) -> float:
    """Seconds of the jobs on the longest path of the graph.

    Args:
        seconds: of each job, by stage key.
    """
    done: dict[str, float] = {}
    for key in plan.costs:  # parents first
        parent = plan.expansion.graph.nodes[key].parent
        done[key] = seconds[key] + done.get(str(parent), 0.0)
    return max(done.values(), default=0.0)
