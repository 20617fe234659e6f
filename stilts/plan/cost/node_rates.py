"""Rates of a plan: those of each type of node that its cluster declares, or of the hardware that is expected."""

from collections.abc import Mapping

from stilts.experiment.machines import Cluster, NodeType
from stilts.experiment.runtime import Runtime
from stilts.plan.cost.calibrate import Measured
from stilts.plan.cost.estimate import uses_gpus
from stilts.plan.cost.hardware import DEFAULT_GPU, HARDWARE, Hardware
from stilts.plan.cost.rates import Rates, assumed, rank_link


def node_rates(runtime: Runtime, cluster: Cluster | None, measured: Mapping[str, Measured]) -> dict[str, Rates]:
    """Rates of one rank on each type of node with room for ranks, by its name; empty without a cluster.

    Measured rates of a kind of hardware replace declared ones, and these replace assumed ones. Where the kind of a node
    type is not declared, measured stages are taken for its own if no other type trains, or if it declares no speed.
    """
    if cluster is None:
        return {}
    places = {name: room for name, room in cluster.places(runtime).items() if room}
    return {
        name: _rates(runtime, cluster.nodes[name], room, measured, gpu=cluster.use_gpu(runtime), alone=len(places) == 1)
        for name, room in places.items()
    }


def plan_rates(runtime: Runtime, cluster: Cluster | None, measured: Mapping[str, Measured]) -> Rates:
    """The rates by which a plan counts hours: those of the node type with the most ranks, or of what is expected."""
    nodes = node_rates(runtime, cluster, measured)
    if cluster is None or not nodes:
        return _rates(runtime, None, runtime.ranks, measured, gpu=uses_gpus(runtime, cluster), alone=True)
    places = cluster.places(runtime)
    return nodes[max(nodes, key=lambda name: cluster.nodes[name].max_nodes * places[name])]


def _rates(
    runtime: Runtime, node: NodeType | None, places: int, measured: Mapping[str, Measured], *, gpu: bool, alone: bool
) -> Rates:
    declared = None if node is None else node.accelerator_type
    flops = None if node is None else node.flops
    found = measured.get(declared) if gpu and declared is not None else None
    if found is None and (not gpu or declared is None) and (alone or flops is None):
        found = next(iter(measured.values()), None)
    hardware = _hardware(declared, found, gpu)
    source = assumed(hardware) if flops is None else "declared in cluster:"
    rates = Rates(hardware, runtime.cpus_per_rank, rank_link(hardware, runtime, node, places), flops, source=source)
    return rates if found is None else found.apply(rates)


def _hardware(declared: str | None, found: Measured | None, gpu: bool) -> Hardware:
    if not gpu:
        return HARDWARE["CPU"]
    if declared is not None:
        return HARDWARE[declared]
    return HARDWARE[DEFAULT_GPU] if found is None else found.hardware
