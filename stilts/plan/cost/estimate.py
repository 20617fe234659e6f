"""Cost model: examples, tokens, GPU-hours and bytes of a plan, before anything runs.

One token costs 6 N + 12 L h s floating-point operations in a forward and backward pass, where N is the number of
parameters of the layers, L the number of layers, h the hidden size and s the sequence length (Kaplan et al. 2020,
section 2.1, with the attention term for bidirectional attention). The forward pass alone costs a third of that.
Example: XLM-R Large takes 1.85 GFLOP per token at s = 128. Masked language modelling also computes the output layer,
which is as large as the embeddings it is tied to, for every token that it predicts.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

from stilts.data.mixing import epoch_items, shares
from stilts.encoders.sizes import Shape, shape_of
from stilts.experiment.machines import Cluster
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec, DataRef, EvaluationSpec, Part, StageSpec, Watched
from stilts.plan.graph import Graph, Node
from stilts.plan.job import StageJob
from stilts.tasks.base import get_task
from stilts.tasks.families import get_family

GPU_FLOPS = 1.2e14
"""Assumed FLOPs per second of one GPU while the store has no measured stages: 40 % of an A100's bf16 peak."""
CPU_FLOPS = 3e10
"""Assumed FLOPs per second of one CPU rank while the store has no measured stages."""

OPTIMIZER_BYTES = 12
"""Bytes of the resume state per parameter: fp32 weights and both moments of Adam. With model selection, the best
weights so far take four more bytes."""

SIZE_UNKNOWN = "the size of the base model"
"""The entry of `StageCost.unknown` for a stage that has no price because nothing is known of its base model."""

PREDICTION_BYTES = 40
"""Average size of one stored prediction over all tasks."""

Predicting = Callable[[EvaluationSpec, Shape | None], tuple[int, float]]


@dataclass(frozen=True)
class StageCost:
    """Estimated cost of the job of one node of the graph.

    Attributes:
        examples: training examples over all epochs.
        tokens: training tokens over all epochs, after truncation and without padding.
        flops: floating-point operations of training and evaluation together.
        weight_bytes: bytes of the weights that stay in the store.
        resume_bytes: bytes of the resume state, which exists only while the stage trains.
        prediction_bytes: bytes of the stored predictions.
        staged_bytes: bytes of the weights that are written to a temporary folder before they are stored.
        unknown: the sizes that nobody declares or measures. If there are any, the other figures are too low.
    """

    examples: int = 0
    tokens: int = 0
    flops: float = 0.0
    weight_bytes: int = 0
    resume_bytes: int = 0
    prediction_bytes: int = 0
    staged_bytes: int = 0
    unknown: tuple[str, ...] = ()


def stage_costs(graph: Graph, jobs: Mapping[str, StageJob]) -> dict[str, StageCost]:
    """Estimate the cost of each job; returns costs by stage key."""
    shapes: dict[str, Shape | None] = {}
    for node in graph:
        shapes[node.key] = shape_of(node.spec) if isinstance(node.spec, BaseSpec) else shapes[str(node.parent)]
    predicting = cache(_predicting)  # thousands of stages share their evaluations
    return {key: _stage_cost(graph.nodes[key], job, shapes[key], predicting) for key, job in jobs.items()}


def _stage_cost(node: Node, job: StageJob, size: Shape | None, predicting: Predicting) -> StageCost:
    examples, tokens, flops, unknown = 0.0, 0.0, 0.0, set[str]()
    if isinstance(node.spec, StageSpec) and not job.trained:
        seen, unknown = _training(node.spec)
        examples, tokens = sum(rows for _, rows, _ in seen), sum(much for _, _, much in seen)
        if size is not None:
            flops = sum(training_flops(part, size, rows, much) for part, rows, much in seen)
            flops += _checkpoints(node.spec, examples) * watching_flops(job.watched, size)
    predicted = 0
    for evaluation in job.evaluations:
        rows, operations = predicting(evaluation, size)
        predicted += rows
        flops += operations
    for evaluation in {evaluation.pool: evaluation for evaluation in job.evaluations}.values():
        flops += _reading(evaluation.pool, evaluation, size)[1]  # all languages search one encoding of the pool
    parameters = size.parameters if size is not None else 0
    if size is None:
        unknown.add(SIZE_UNKNOWN)
    best = isinstance(node.spec, StageSpec) and node.spec.selects
    return StageCost(
        examples=round(examples),
        tokens=round(tokens),
        flops=flops,
        weight_bytes=parameters * (2 if job.rounds_weights else 4) if job.keep_weights and not job.trained else 0,
        resume_bytes=0 if node.is_base or job.trained else parameters * (OPTIMIZER_BYTES + (4 if best else 0)),
        prediction_bytes=predicted * PREDICTION_BYTES,
        staged_bytes=0 if job.trained else parameters * (2 if job.rounds_weights else 4),
        unknown=tuple(sorted(unknown)),
    )


def training_flops(part: Part, size: Shape, examples: float, tokens: float) -> float:
    """FLOPs of training on `examples` examples, `tokens` tokens in all, of one task of a stage."""
    task = get_task(part.task)
    predicted = get_family(task.family).predicted_share(task, part.recipe)
    length = min(tokens / max(examples, 1), part.recipe.max_length)
    return tokens * size.flops_per_token(length, training=True, predicted=predicted)


def watching_flops(watched: Iterable[Watched], size: Shape) -> float:
    """FLOPs of scoring one checkpoint on the watched evaluations. English dev is left out because it is small."""
    total = 0.0
    for what in watched:
        rows, flops = _reading(what.evaluation.data, what.evaluation, size)
        total += flops * min(rows, what.examples or rows) / max(rows, 1)
    return total


def _checkpoints(spec: StageSpec, examples: float) -> int:
    """Number of dev evaluations of a stage that trains on `examples` examples: one per interval, and one at the end."""
    steps = math.ceil(examples / spec.recipe.batch_size)
    rows = sum(part.rows for part in spec.parts) or examples
    every = spec.recipe.evaluate_every or math.ceil(rows / spec.recipe.batch_size)
    return math.ceil(steps / every) if steps else 0


def _predicting(evaluation: EvaluationSpec, size: Shape | None) -> tuple[int, float]:
    """Rows and FLOPs of one evaluation."""
    read = [_reading(ref, evaluation, size) for ref in (evaluation.data, evaluation.tune)]
    return sum(rows for rows, _ in read), sum(flops for _, flops in read)


def _reading(ref: DataRef | None, evaluation: EvaluationSpec, size: Shape | None) -> tuple[int, float]:
    """Number of rows of a data set, and FLOPs of one forward pass over them."""
    rows, mean, limit = _size(ref, evaluation)
    return rows, 0.0 if size is None else rows * mean * size.flops_per_token(min(mean, limit), training=False)


def _training(spec: StageSpec) -> tuple[list[tuple[Part, float, float]], set[str]]:
    """Examples and tokens that a stage trains on.

    Returns:
        A list of (part, examples, tokens), empty if the size of some part is unknown, and the set of unknown sizes.
    """
    recipe, mixing = spec.recipe, spec.mixing
    limited = recipe.max_tokens is not None or recipe.max_steps is not None
    unknown = {f"the size of {ref.task} {ref.split}" for part in spec.parts for ref in part.train if ref.rows is None}
    sizes = {part.task: part.rows or _assumed_rows(spec, part.task, limited) for part in spec.parts}
    if not all(sizes.values()):
        return [], unknown
    drawn = dict.fromkeys(sizes, 1.0) if mixing is None else shares(sizes, mixing)
    means = [(part, drawn[part.task], _mean_of_part(part)) for part in spec.parts]
    if recipe.max_tokens is not None:
        examples = recipe.max_tokens / sum(share * mean for _, share, mean in means)
    elif recipe.max_steps is not None:
        examples = recipe.max_steps * recipe.batch_size
    else:
        assert recipe.epochs is not None
        examples = recipe.epochs * (sum(sizes.values()) if mixing is None else epoch_items(sizes, drawn, mixing))
    if limited and (mixing is None or recipe.max_tokens is not None):
        unknown = set()
    return [(part, examples * share, examples * share * mean) for part, share, mean in means], unknown


def planned_examples(spec: StageSpec) -> float:
    """Number of examples that a stage trains on over all epochs; 0 if the size of its data is unknown."""
    return sum(examples for _, examples, _ in _training(spec)[0])


def _assumed_rows(spec: StageSpec, task: str, limited: bool) -> int:
    """Number of examples assumed for a task whose data set has an unknown size; 0 if nothing can be assumed.

    A number can be assumed if the length of the stage does not depend on it. That is so in two cases: the recipe gives
    the length in steps or tokens (`limited`), or the task has a probability of its own in the mixture, so that the
    other tasks determine the length of an epoch. A mixture counts at most `cap` examples of a task, so the cap is
    assumed.
    """
    if spec.mixing is None:
        return int(limited)
    beside = task in spec.mixing.probabilities and len(spec.mixing.probabilities) < len(spec.parts)
    return spec.mixing.cap if limited or beside else 0


def _mean_of_part(part: Part) -> float:
    """Mean number of tokens of a training example of one task over all its languages."""
    limit = part.recipe.max_examples
    known = [(min(ref.rows, limit or ref.rows), ref) for ref in part.train if ref.rows]
    if not known:
        return min(get_task(part.task).tokens_per_row, part.recipe.max_length)
    return sum(kept * _mean_tokens(ref, part.recipe.max_length) for kept, ref in known) / sum(kept for kept, _ in known)


def _size(ref: DataRef | None, evaluation: EvaluationSpec) -> tuple[int, float, float]:
    """Number of rows, mean tokens per row, and maximum sequence length of an evaluation's data set."""
    limit = float(evaluation.settings.get("max_length", 512))
    if ref is None or ref.rows is None:
        return 0, 0.0, limit
    return ref.rows, _mean_tokens(ref, limit), limit


def _mean_tokens(ref: DataRef, limit: float) -> float:
    """Mean number of tokens per example that the model reads.

    Examples longer than `limit` are truncated, unless the family splits them into several sequences.
    """
    task = get_task(ref.task)
    mean = ref.tokens / ref.rows if ref.tokens is not None and ref.rows else task.tokens_per_row
    return mean if get_family(task.family).splits_examples else min(mean, limit)


@dataclass(frozen=True)
class Speed:
    """How fast one rank computes.

    Attributes:
        flops: floating-point operations per second.
        source: where the figure comes from (measured, declared or assumed), as shown to the user.
        by_tasks: measured speed of stages that train exactly these tasks, as far as the store has any. Speeds differ:
            masked language modelling, whose output layer is one large matrix product, reaches several times the speed
            of tagging.
    """

    flops: float
    source: str
    by_tasks: Mapping[tuple[str, ...], float] = field(default_factory=dict)

    def calibrated(self, cost: StageCost, job: StageJob) -> StageCost:
        """Rescale the FLOPs of a cost so that `flops / self.flops` equals the seconds measured for stages like this.

        Simulation and prices divide all FLOPs by one speed. If stages of these tasks were measured at half of that
        speed, their FLOPs are doubled. A cost without such measurements is returned unchanged.
        """
        if not isinstance(job.spec, StageSpec):
            return cost
        own = self.by_tasks.get(tuple(sorted(part.task for part in job.spec.parts)), self.flops)
        return replace(cost, flops=cost.flops * self.flops / own)


def speed(runtime: Runtime, records: Iterable[Mapping[str, Any]], cluster: Cluster | None = None) -> Speed:
    """Speed of one rank: the median of the store's stages, else the one declared in `cluster:`, else an assumed one.

    Args:
        records: stage records of the store. Only those measured on the same kind of device (GPU or CPU) count.
    """
    declared: list[float] = []
    gpu = uses_gpus(runtime, cluster)
    if cluster is not None:
        declared = [cluster.nodes[name].flops or 0.0 for name, places in cluster.places(runtime).items() if places]
    kind = "gpu" if gpu else "cpu"
    measured: dict[tuple[str, ...], list[float]] = {}
    for record in records:
        if record.get("speed", {}).get("kind") == kind:
            tasks = tuple(sorted(record.get("train", {}).get("parts", ())))
            measured.setdefault(tasks, []).append(record["speed"]["flops"])
    if measured:
        found = [flops for some in measured.values() for flops in some]
        by_tasks = {tasks: median(some) for tasks, some in measured.items()}
        return Speed(median(found), f"measured on {len(found)} stages of this store", by_tasks)
    if declared and all(declared):
        return Speed(fmean(declared), "declared in cluster:")
    flops = GPU_FLOPS if gpu else CPU_FLOPS
    return Speed(flops, f"assumed: {flops:.2g} operations per second and {kind.upper()}")


def uses_gpus(runtime: Runtime, cluster: Cluster | None) -> bool:
    """Whether ranks get GPUs: as declared, else if there is a cluster at RAY_ADDRESS or a GPU in this machine."""
    if cluster is not None:
        return cluster.use_gpu(runtime)
    return runtime.accelerator == "gpu" or (runtime.accelerator == "auto" and _gpus_expected())


def hours_unit(runtime: Runtime, cluster: Cluster | None) -> str:
    """What the hours of an experiment are counted in: `GPU-hours`, or `CPU-hours` if its ranks get no GPUs.

    A CPU-hour is an hour of one rank. In JSON and tables, the fields are named `gpu_hours` in either case.
    """
    return "GPU-hours" if uses_gpus(runtime, cluster) else "CPU-hours"


def _gpus_expected() -> bool:
    return "RAY_ADDRESS" in os.environ or Path("/dev/nvidiactl").exists()


def gpu_hours(cost: StageCost, rate: Speed) -> float:
    """GPU-hours (CPU-hours without GPUs) of a cost. A gang of R ranks takes 1/R of it as wall-clock time."""
    return cost.flops / rate.flops / 3600
