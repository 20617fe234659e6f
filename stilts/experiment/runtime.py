"""Runtime: where and how stages run. It is recorded beside an artifact and is never part of its key."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stilts.experiment.recipe import MOST, Frozen, Positive, PositiveNumber

MOST_TOKENS = {"cpu": 8192, "gpu": 16384}
"""Largest micro-batches that `tokens_per_micro_batch: auto` makes; larger ones are not faster."""


class Runtime(Frozen):
    """Resources, memory and retries of the trials of one experiment."""

    ranks: Annotated[int, Field(gt=0, le=10**6)] = 1
    """Processes (GPUs) of one trial. One GPU per trial is usually the best use of a cluster."""
    accelerator: Literal["auto", "gpu", "cpu"] = "auto"
    """auto: one GPU per rank if the cluster has GPUs, else the CPU."""
    cpus_per_rank: PositiveNumber = 1
    """CPU cores that Ray reserves for each rank. On a CPU, the rank computes with as many threads; with a GPU, it has
    its share of the node's cores for the work beside the GPU, if that is more."""
    memory_per_rank: Annotated[float, Field(ge=0, le=10**6)] | None = None
    """Memory of the machine in GB that Ray reserves for each rank, so that no more trials start than fit. Empty: an
    estimate from the size of the model and the tokens of a micro-batch. 0: none is reserved."""
    max_parallel: Positive | None = None
    """Largest number of trials that run at the same time. Empty: as many as fit the cluster."""
    zero_stage: Annotated[int, Field(ge=0, le=3)] = 1
    """ZeRO stage of DeepSpeed: what the ranks of a trial shard. 0: nothing, 1: optimizer states, 2: gradients, too,
    3: parameters, too."""
    offload: Literal["none", "optimizer", "all"] = "none"
    """What DeepSpeed keeps in the memory of the machine instead of the GPU. optimizer: the fp32 weights and the moments
    of AdamW, 12 bytes a parameter; all: under ZeRO 3 the weights, too. Slower, for models that do not fit otherwise."""
    engine: Literal["auto", "deepspeed", "torch"] = "auto"
    """What trains a stage. deepspeed: DeepSpeed, which shards over the ranks of a trial; torch: torch's fused AdamW on
    flat buffers, on one rank; auto: deepspeed for several ranks and for ZeRO 3, else torch. They give the same weights
    up to fp32 rounding."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether the layers of an encoder are compiled (torch.compile) for training: once for each shape of batch, at most
    four for a stage, which takes up to a minute each. auto: on a GPU. Results agree up to rounding. Where it fails, one
    line of the log says why, and the layers run as they are."""
    tokens_per_micro_batch: Positive | Literal["auto"] = "auto"
    """Padded tokens of one forward and backward pass of one rank. It changes neither the batch size nor any key, and a
    stage resumes with a new value. auto: as many as fit the free memory, by an estimate that the first steps correct;
    on a CPU the memory of a machine is divided by the ranks that it has cores for. At most 8,192 on a CPU and 16,384 on
    a GPU. If memory runs out in a step, it is halved and the step repeated."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    weights: Literal["fp32", "bf16"] = "fp32"
    """Precision of the weights in the store. fp32: the master weights of the optimizer, from which other stages
    continue without a rounding. bf16: of stages that were trained in bf16 and from which no stage of the experiment
    continues, the weights rounded to bf16, in half the space. They give the same predictions; a stage that is to
    continue from them later has them trained again."""
    checkpoint_seconds: PositiveNumber = 600
    """Seconds between two resume states of a stage that is training."""
    max_retries: Annotated[int, Field(ge=0, le=MOST)] = 3
    """How often a stage is repeated after one of its processes was killed or crashed. An error of the program is not
    retried. Other losses, such as that of a node, have bounds of their own; preemptions have none."""
    stall_seconds: PositiveNumber | None = None
    """Seconds without progress after which a stage counts as stalled. Its processes are then ended, and it is repeated
    from its resume state, at most three times. Phases without steps, such as tokenizing, have twelve times as long.
    Empty: 30 times the median time of a step, and at least 10 minutes."""
    keep: Literal["none", "intermediate", "best", "all"] = "intermediate"
    """Which weights stay in the store. intermediate: those of stages that other stages start from; best: these, and for
    each base model and target those of the one stage with the best English dev score; all: of every stage; none: no
    weights after the end of the run. Weights that another experiment of the store needs stay."""
    idle_seconds: PositiveNumber = 60
    """Seconds after which an idle gang releases its GPUs."""
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)
    """Where loss, speed and scores are logged, one run per stage. tensorboard: event files in the results folder; wandb
    and mlflow: as their environment variables say (WANDB_API_KEY or WANDB_MODE=offline, MLFLOW_TRACKING_URI)."""

    def most_tokens(self, *, gpu: bool) -> int:
        """The largest number of padded tokens of a micro-batch."""
        if self.tokens_per_micro_batch == "auto":
            return MOST_TOKENS["gpu" if gpu else "cpu"]
        return self.tokens_per_micro_batch

    @model_validator(mode="after")
    def _engine_can(self) -> "Runtime":
        if self.offload != "none" and (self.engine == "torch" or self.zero_stage == 0):
            raise ValueError("offload: DeepSpeed offloads from ZeRO stage 1; leave out engine, and raise zero_stage")
        if self.offload == "all" and self.zero_stage < 3:
            raise ValueError("offload: all needs zero_stage 3; below it, `optimizer` can be offloaded")
        if self.engine == "torch" and (self.ranks > 1 or self.zero_stage == 3):
            raise ValueError(
                "engine: torch trains on one rank and shards nothing; leave it out, or set ranks: 1 and zero_stage: 1"
            )
        return self

    def uses_deepspeed(self, world: int) -> bool:
        """Whether DeepSpeed trains a stage on `world` ranks: `auto` takes it for what is sharded or offloaded."""
        if self.engine == "auto":
            return world > 1 or self.zero_stage == 3 or self.offload != "none"
        return self.engine == "deepspeed"
