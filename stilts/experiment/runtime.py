"""Runtime: where and how stages run. Recorded beside an artifact, never part of its key."""

from typing import Annotated, Literal

from pydantic import Field

from stilts.experiment.recipe import Frozen, Positive


class Runtime(Frozen):
    """Resources, memory and failure policy of the trials of one experiment."""

    ranks: Positive = 1
    """Processes (GPUs) of one trial. One GPU a trial is usually the best use of a cluster."""
    accelerator: Literal["auto", "gpu", "cpu"] = "auto"
    """auto: a GPU per rank where the cluster has any, else the CPU."""
    cpus_per_rank: Annotated[float, Field(gt=0, strict=False)] = 1
    max_parallel: Positive | None = None
    """Trials at once; None: as many as fit the cluster."""
    zero_stage: Annotated[int, Field(ge=0, le=3)] = 1
    tokens_per_micro_batch: Positive = 8192
    """Padded tokens of one forward and backward pass of one rank."""
    gradient_checkpointing: bool = False
    checkpoint_seconds: Annotated[float, Field(gt=0, strict=False)] = 600
    """Seconds between resume states inside a stage."""
    max_retries: Annotated[int, Field(ge=0)] = 3
    """Restarts of a trial after a killed process. Errors of the program do not retry. Not counted are trials that give
    way to a stop or to a node being taken back with notice (spot machines), however often; nor nodes that die without
    notice, until a stage has lost ten of them and the next makes it fail, for it may be what brings them down."""
    keep: Literal["none", "intermediate", "all"] = "intermediate"
    """Weights that stay in the store: those of stages that other stages start from, all, or none at the end."""
    idle_seconds: Annotated[float, Field(gt=0, strict=False)] = 60
    """A gang without work gives its GPUs back after this time."""
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)
    """Where loss, speed and scores are logged, one run a stage: tensorboard: event files in the results' folder; wandb,
    mlflow: as their environment variables say (WANDB_API_KEY or WANDB_MODE=offline, MLFLOW_TRACKING_URI)."""
