"""Cluster: the machines that a grid is priced and simulated on. It starts none of them, and bears no identity.

What starts machines is Ray's own `cluster.yaml`; the two should agree.
"""

from typing import Annotated

from pydantic import Field, model_validator

from stilts.experiment.recipe import Frozen, NonNegative, Positive
from stilts.experiment.runtime import Runtime


class NodeType(Frozen):
    """One kind of machine. Without room for a rank (a head node), it costs and trains nothing."""

    gpus: Annotated[int, Field(ge=0)] = 0
    cpus: Annotated[float, Field(gt=0, strict=False)] | None = None
    """None: as many as the ranks on its GPUs ask for."""
    min_nodes: Annotated[int, Field(ge=0)] = 0
    """Nodes that run all the time; the others come when trials wait, and go when they idle."""
    max_nodes: Positive = 1
    price_per_hour: NonNegative = 0
    """Of one node, in the cluster's currency; billed from the moment it is asked for."""
    losses_per_hour: NonNegative = 0
    """Interruptions of one node to be expected in an hour; 0: on demand."""
    notice_seconds: NonNegative = 0
    """From the cloud's notice to the loss of the node: 120 on AWS, 30 on Google Cloud."""
    boot_seconds: NonNegative = 0
    """From the request for a node to its first trial: the machine, the image, the setup commands."""
    flops: Annotated[float, Field(gt=0, strict=False)] | None = None
    """Operations per second of one GPU (or CPU rank) in training: its peak times the utilisation. None: as measured on
    stages of the store, else assumed."""

    @model_validator(mode="after")
    def _least_and_most(self) -> "NodeType":
        if self.min_nodes > self.max_nodes:
            raise ValueError(f"min_nodes is {self.min_nodes}, more than max_nodes, which is {self.max_nodes}")
        return self

    def places(self, runtime: Runtime, gpu: bool) -> int:
        """Ranks that one node has room for."""
        if gpu and self.cpus is None:
            return self.gpus
        by_cpus = int((self.cpus or 0) / runtime.cpus_per_rank + 1e-9)
        return min(self.gpus, by_cpus) if gpu else by_cpus


class Cluster(Frozen):
    """Node types by name: those of `available_node_types` in `cluster.yaml`."""

    nodes: Annotated[dict[str, NodeType], Field(min_length=1)]
    currency: str = "USD"
    idle_timeout_minutes: NonNegative = 5
    """A node beyond `min_nodes` goes when it has had no trial for so long."""

    def use_gpu(self, runtime: Runtime) -> bool:
        """Whether ranks get a GPU each, as `accelerator` says or the nodes have any."""
        if runtime.accelerator == "auto":
            return any(node.gpus for node in self.nodes.values())
        return runtime.accelerator == "gpu"

    def places(self, runtime: Runtime) -> dict[str, int]:
        """Ranks that one node of each type has room for."""
        gpu = self.use_gpu(runtime)
        return {name: node.places(runtime, gpu) for name, node in self.nodes.items()}

    def check_room(self, runtime: Runtime) -> None:
        """Pass where one trial fits the cluster at its largest.

        Raises:
            ValueError: it does not.
        """
        most = sum(self.nodes[name].max_nodes * places for name, places in self.places(runtime).items())
        if most < runtime.ranks:
            kind = "GPU" if self.use_gpu(runtime) else "CPU"
            raise ValueError(
                f"its nodes have room for {most} {kind} ranks, and a trial has {runtime.ranks} (runtime.ranks); give "
                "nodes gpus or cpus, or raise max_nodes"
            )
