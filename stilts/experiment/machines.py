"""Cluster: the machines for which a plan is priced and simulated. It starts no machine and is part of no key.

Ray's own `cluster.yaml` starts machines; the two should agree.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stilts.experiment.recipe import Frozen, NonNegative, PositiveNumber
from stilts.experiment.runtime import Runtime


class NodeType(Frozen):
    """One kind of machine. A node without room for a rank, such as a head node, costs money and trains nothing."""

    gpus: Annotated[int, Field(ge=0, le=10**6)] = 0
    """GPUs of one node."""
    cpus: PositiveNumber | None = None
    """CPU cores of one node. Empty: as many as the ranks on its GPUs need."""
    min_nodes: Annotated[int, Field(ge=0, le=10**6)] = 0
    """Nodes that always run. More are started when trials wait, and stopped when they are idle."""
    max_nodes: Annotated[int, Field(gt=0, le=10**6)] = 1
    """Largest number of nodes of this type."""
    price_per_hour: NonNegative = 0
    """Price of one node in the cluster's currency, billed from the request for the node on."""
    losses_per_hour: NonNegative = 0
    """Expected preemptions of one node per hour (spot machines). 0: on-demand machines."""
    notice_seconds: NonNegative = 0
    """Seconds between the cloud's notice of a preemption and the loss of the node: 120 on AWS, 30 on Google Cloud."""
    boot_seconds: NonNegative = 0
    """Seconds from the request for a node to its first trial: machine, image and setup commands."""
    flops: Annotated[float, Field(gt=0, le=1e20, strict=False)] | None = None
    """Floating-point operations per second that one GPU (or CPU rank) achieves in training: its peak times the
    utilisation. It replaces the assumed value until stages of the store were measured on this kind of machine."""
    accelerator_type: Literal["V100", "A10G", "L4", "L40S", "A100", "H100", "H200"] | None = None
    """Kind of its GPUs, as Ray names it: peak, memory bandwidth and links are then known. Empty: that of the measured
    stages of the store, else A100."""
    link_bandwidth: PositiveNumber | None = None
    """Gigabytes per second that a GPU sends to another one of its node. Empty: that of the kind (NVLink or PCI
    Express)."""
    network_bandwidth: PositiveNumber = 3
    """Gigabytes per second between two nodes, for trials whose ranks are on several nodes (25 Gbit/s are 3)."""

    @model_validator(mode="after")
    def _least_and_most(self) -> "NodeType":
        if self.min_nodes > self.max_nodes:
            raise ValueError(f"min_nodes is {self.min_nodes}, more than max_nodes, which is {self.max_nodes}")
        return self

    def places(self, runtime: Runtime, gpu: bool) -> int:
        """Number of ranks that fit on one node."""
        if gpu and self.cpus is None:
            return self.gpus
        by_cpus = int((self.cpus or 0) / runtime.cpus_per_rank + 1e-9)
        return min(self.gpus, by_cpus) if gpu else by_cpus


class Cluster(Frozen):
    """The machines of a cluster, and their prices."""

    nodes: Annotated[dict[str, NodeType], Field(min_length=1)]
    """Node types by name: those of `available_node_types` in `cluster.yaml`."""
    currency: str = "USD"
    """Currency of the prices."""
    idle_timeout_minutes: NonNegative = 5
    """Minutes without a trial after which a node beyond `min_nodes` is stopped."""

    def use_gpu(self, runtime: Runtime) -> bool:
        """Whether each rank gets a GPU: as `runtime.accelerator` says, or if any node has GPUs."""
        if runtime.accelerator == "auto":
            return any(node.gpus for node in self.nodes.values())
        return runtime.accelerator == "gpu"

    def places(self, runtime: Runtime) -> dict[str, int]:
        """Number of ranks that fit on one node of each type."""
        gpu = self.use_gpu(runtime)
        return {name: node.places(runtime, gpu) for name, node in self.nodes.items()}

    def check_room(self, runtime: Runtime) -> None:
        """Check that one trial fits on the cluster at its largest.

        Raises:
            ValueError: the trial has more ranks than fit.
        """
        most = sum(self.nodes[name].max_nodes * places for name, places in self.places(runtime).items())
        if most < runtime.ranks:
            kind = "GPU" if self.use_gpu(runtime) else "CPU"
            raise ValueError(
                f"its nodes have room for {most} {kind} ranks, and a trial has {runtime.ranks} (runtime.ranks); give "
                "nodes gpus or cpus, or raise max_nodes"
            )
