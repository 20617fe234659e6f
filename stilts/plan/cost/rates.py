"""Rates: how many seconds a trial needs for the work of a stage, on one kind of hardware.

A step takes the time of its arithmetic, at the share of the peak that matrix products reach, and of its memory traffic.
Launching the operations is overlapped with them on a GPU, so that the longer of the two counts; on a CPU, both count.
What the ranks of a gang send each other is added, as nothing overlaps it. An evaluation takes its forward passes or the
decoding of its predictions, whichever is longer. A stage also loads, saves and prepares.

Each of these components has a factor, which is 1 until stages were measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stilts.experiment.machines import NodeType
from stilts.experiment.runtime import Runtime
from stilts.plan.cost.hardware import (
    CPU_LAUNCH_SECONDS,
    GPU_LAUNCH_SECONDS,
    LINK_SHARE,
    MATRIX_SHARE,
    MEMORY_SHARE,
    Hardware,
)
from stilts.plan.cost.work import Pass, Work

MESSAGE_SECONDS = 5e-5
"""Assumed seconds of one collective operation, beside its bytes."""
PREDICTION_SECONDS = 1e-4
"""Assumed seconds of the host to decode and score one prediction."""
STAGE_SECONDS = 1.5
"""Assumed seconds of a stage beside training, evaluation and weights: reading data, the first batch, records."""
WEIGHT_BYTES_PER_SECOND = 5e8
"""Assumed speed at which weights are loaded, converted, hashed and saved."""


@dataclass(frozen=True)
class Parts:
    """Seconds of the components of training."""

    arithmetic: float = 0.0
    memory: float = 0.0
    host: float = 0.0
    communication: float = 0.0


@dataclass(frozen=True)
class Factors:
    """What the seconds of each component are multiplied by, as measured stages show; 1 without measurements."""

    arithmetic: float = 1.0
    memory: float = 1.0
    host: float = 1.0
    communication: float = 1.0
    evaluation: float = 1.0
    setup: float = 1.0


@dataclass(frozen=True)
class Rates:
    """How fast the ranks of a trial work.

    Attributes:
        hardware: the kind of GPU or CPU.
        cores: CPU cores of one rank; on a GPU they do not count.
        link: bytes per second that a rank sends to another one of its trial.
        flops: declared FLOPs per second of one rank; None: those of the hardware.
        by_tasks: measured seconds of stages that train exactly these tasks, relative to what the factors predict.
        source: where the figures come from (measured, declared or assumed), as shown to the user.
    """

    hardware: Hardware
    cores: float = 1.0
    link: float = 1e9
    flops: float | None = None
    factors: Factors = Factors()
    by_tasks: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    source: str = ""

    @property
    def _width(self) -> float:
        return 1.0 if self.hardware.is_gpu else self.cores

    def achieved(self, precision: str) -> float:
        """FLOPs per second of one rank in matrix products."""
        found = self.flops or self.hardware.peak[precision] * MATRIX_SHARE * self._width
        return found / self.factors.arithmetic

    def parts(self, work: Pass, precision: str) -> Parts:
        """Seconds of each component of some passes."""
        launch = GPU_LAUNCH_SECONDS if self.hardware.is_gpu else CPU_LAUNCH_SECONDS
        bandwidth = self.hardware.bandwidth * MEMORY_SHARE * self._width
        return Parts(
            work.flops / self.achieved(precision),
            work.traffic / bandwidth * self.factors.memory,
            work.launches * launch * self.factors.host,
            (work.sent / self.link + work.messages * MESSAGE_SECONDS) * self.factors.communication,
        )

    def together(self, parts: Parts) -> float:
        """Seconds that the components take together."""
        device = parts.arithmetic + parts.memory
        both = max(device, parts.host) if self.hardware.is_gpu else device + parts.host
        return both + parts.communication

    def training_seconds(self, work: Work) -> float:
        """Seconds of the optimizer steps."""
        return self.together(self.parts(work.training, work.precision))

    def evaluation_seconds(self, work: Pass, precision: str, predictions: float) -> float:
        """Seconds of evaluations with these forward passes and predictions."""
        forward = self.together(self.parts(work, precision))
        return max(forward, predictions * PREDICTION_SECONDS) * self.factors.evaluation

    def setup_seconds(self, work: Work) -> float:
        """Seconds beside training and evaluation."""
        return (work.starts * STAGE_SECONDS + work.moved / WEIGHT_BYTES_PER_SECOND) * self.factors.setup

    def seconds(self, work: Work, tasks: tuple[str, ...] = ()) -> float:
        """Seconds of a stage on a trial whose ranks each do this work.

        Args:
            tasks: the tasks that it trains, in order.
        """
        trained = self.training_seconds(work) * self.by_tasks.get(tasks, 1.0)
        watched = self.evaluation_seconds(work.watching, work.precision, work.watched)
        evaluated = self.evaluation_seconds(work.evaluation, work.precision, work.predictions)
        return trained + watched + evaluated + self.setup_seconds(work)


def rank_link(hardware: Hardware, runtime: Runtime, node: NodeType | None, places: int) -> float:
    """Bytes per second between the ranks of a trial: the links of a node if it has room for all, else the network."""
    if node is not None and places < runtime.ranks:
        return min(node.network_bandwidth * 1e9, hardware.link) * LINK_SHARE
    declared = None if node is None else node.link_bandwidth
    return (hardware.link if declared is None else declared * 1e9) * LINK_SHARE


def assumed(hardware: Hardware) -> str:
    """The source of rates that nothing was measured for."""
    share = f"{MATRIX_SHARE:.0%} of the peak of one {'core' if not hardware.is_gpu else hardware.name}"
    return f"assumed: {share}"
