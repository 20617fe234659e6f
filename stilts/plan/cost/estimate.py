"""Estimate: what each job of a plan trains, evaluates, computes and stores, before anything runs.

`work.py` counts the work, `rates.py` says how many seconds it takes.
"""

import os
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stilts.encoders.sizes import Shape, shape_of
from stilts.experiment.machines import Cluster
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec, DataRef, EvaluationSpec, StageSpec, Watched
from stilts.plan.cost.tokens import dev_evaluations, evaluated_size, trained_tokens
from stilts.plan.cost.work import NO_WORK, NOTHING, Pass, Work, reading_work, total, training_work
from stilts.plan.graph import Graph, Node
from stilts.plan.job import StageJob

OPTIMIZER_BYTES = 12
"""Bytes of the resume state per parameter: fp32 weights and both moments of Adam. With model selection, the best
weights so far take four more bytes."""

SIZE_UNKNOWN = "the size of the base model"
"""The entry of `StageCost.unknown` for a stage that has no price because nothing is known of its base model."""

PREDICTION_BYTES = 40
"""Average size of one stored prediction over all tasks."""


@dataclass(frozen=True)
class StageCost:
    """Estimated cost of the job of one node of the graph.

    Attributes:
        examples: training examples over all epochs.
        tokens: training tokens over all epochs, after truncation and without padding.
        work: what one rank of the trial computes and moves.
        weight_bytes: bytes of the weights that stay in the store.
        resume_bytes: bytes of the resume state, which exists only while the stage trains.
        prediction_bytes: bytes of the stored predictions.
        staged_bytes: bytes of the weights that are written to a temporary folder before they are stored.
        unknown: the sizes that nobody declares or measures. If there are any, the other figures are too low.
    """

    examples: int = 0
    tokens: int = 0
    work: Work = NO_WORK
    weight_bytes: int = 0
    resume_bytes: int = 0
    prediction_bytes: int = 0
    staged_bytes: int = 0
    unknown: tuple[str, ...] = ()


def stage_costs(graph: Graph, jobs: Mapping[str, StageJob]) -> dict[str, StageCost]:
    """Estimate the cost of each job; returns costs by stage key."""
    shapes, counted = stage_shapes(graph), _Counted()
    return {key: _stage_cost(graph.nodes[key], job, shapes[key], counted) for key, job in jobs.items()}


@dataclass(frozen=True)
class _Training:
    """What is counted of the training of a stage, for one rank."""

    examples: float = 0.0
    tokens: float = 0.0
    steps: Pass = NOTHING
    watched: float = 0.0
    watching: Pass = NOTHING
    unknown: frozenset[str] = frozenset()


class _Counted:
    """Counts trainings and evaluations, each once: thousands of stages differ only by their seeds and parents."""

    def __init__(self) -> None:
        self._trainings: dict[Hashable, _Training] = {}
        self._evaluations: dict[Hashable, tuple[int, Pass]] = {}

    def training(self, spec: StageSpec, job: StageJob, size: Shape | None) -> _Training:
        parts = tuple((part.task, part.train, part.dev, _without_seeds(part.recipe)) for part in spec.parts)
        mixing = None if spec.mixing is None else repr(spec.mixing)
        key = parts, mixing, _without_seeds(spec.recipe), tuple(map(id, job.watched)), size, id(job.runtime)
        if key not in self._trainings:
            self._trainings[key] = _training(spec, job, size)
        return self._trainings[key]

    def evaluations(self, job: StageJob, size: Shape | None) -> tuple[int, Pass]:
        # By identity, as the nodes of a graph share their evaluations, whose hash takes much longer.
        key = tuple(map(id, job.evaluations)), size, job.runtime.ranks
        if key not in self._evaluations:
            self._evaluations[key] = _evaluations(job, size)
        return self._evaluations[key]


def _without_seeds(recipe: Recipe) -> tuple[Hashable, ...]:
    return tuple(value for name, value in recipe.__dict__.items() if name not in ("seed", "seed_parts"))


def _training(spec: StageSpec, job: StageJob, size: Shape | None) -> _Training:
    seen, unknown = trained_tokens(spec)
    examples, tokens = sum(rows for _, rows, _ in seen), sum(much for _, _, much in seen)
    if size is None or not seen:
        return _Training(examples, tokens, unknown=frozenset(unknown))
    steps = training_work(spec, size, seen, job.runtime)
    times = dev_evaluations(spec, examples)
    watched, watching = watching_work(spec, job.watched, times, size, job.runtime.ranks)
    return _Training(examples, tokens, steps, watched, watching, frozenset(unknown))


def stage_shapes(graph: Graph) -> dict[str, Shape | None]:
    """The size of every node's encoder; None if its configuration is not known."""
    shapes: dict[str, Shape | None] = {}
    for node in graph:
        shapes[node.key] = shape_of(node.spec) if isinstance(node.spec, BaseSpec) else shapes[str(node.parent)]
    return shapes


def _stage_cost(node: Node, job: StageJob, size: Shape | None, counted: _Counted) -> StageCost:
    spec = node.spec
    trains = isinstance(spec, StageSpec) and not job.trained
    training = counted.training(spec, job, size) if isinstance(spec, StageSpec) and trains else _Training()
    precision = spec.recipe.precision if isinstance(spec, StageSpec) else _precision(job.evaluations)
    predicted, evaluation = counted.evaluations(job, size)
    unknown = {*training.unknown, *([SIZE_UNKNOWN] if size is None else [])}
    parameters = size.parameters if size is not None else 0
    best = isinstance(spec, StageSpec) and spec.selects
    stored = 0 if job.trained else parameters * (2 if job.rounds_weights else 4)
    loads = bool(job.evaluations) or not node.is_base
    return StageCost(
        examples=round(training.examples),
        tokens=round(training.tokens),
        work=Work(
            precision, training.steps, training.watching, evaluation, training.watched, predicted,
            moved=stored + (4 * parameters if loads else 0), starts=int(loads),
        ),
        weight_bytes=stored if job.keep_weights else 0,
        resume_bytes=0 if node.is_base or job.trained else parameters * (OPTIMIZER_BYTES + (4 if best else 0)),
        prediction_bytes=predicted * PREDICTION_BYTES,
        staged_bytes=stored,
        unknown=tuple(sorted(unknown)),
    )  # fmt: skip


def _precision(evaluations: Iterable[EvaluationSpec]) -> str:
    return next((str(spec.settings["precision"]) for spec in evaluations if "precision" in spec.settings), "bf16")


def _evaluations(job: StageJob, size: Shape | None) -> tuple[int, Pass]:
    """Rows and forward passes of the evaluations of a job."""
    ranks = job.runtime.ranks
    found = [_reading(evaluation, size, ranks) for evaluation in job.evaluations]
    pools = {evaluation.pool: evaluation for evaluation in job.evaluations if evaluation.pool is not None}
    # All languages search one encoding of the pool.
    passes = [_forward(pool, evaluation, size, ranks)[1] for pool, evaluation in pools.items()]
    return sum(rows for rows, _ in found), total([*(work for _, work in found), *passes])


def _reading(evaluation: EvaluationSpec, size: Shape | None, ranks: int) -> tuple[int, Pass]:
    """Rows and forward passes of one evaluation."""
    read = [_forward(ref, evaluation, size, ranks) for ref in (evaluation.data, evaluation.tune) if ref is not None]
    return sum(rows for rows, _ in read), total(work for _, work in read)


def _forward(
    ref: DataRef, evaluation: EvaluationSpec, size: Shape | None, ranks: int, most: int | None = None
) -> tuple[int, Pass]:
    """Number of rows of a data set, and the work of one forward pass over them.

    Args:
        most: number of the first rows that are read; None for all.
    """
    rows, mean, limit = evaluated_size(ref, evaluation)
    rows = min(rows, most or rows)
    if size is None:
        return rows, NOTHING
    settings = evaluation.settings
    share = settings["layer"] / settings["layers"] if "layers" in settings else 1.0
    precision = settings.get("precision", "bf16")
    return rows, reading_work(rows * mean, min(mean, limit), size, precision, ranks, share)


def watching_work(
    spec: StageSpec, watched: Iterable[Watched], times: int, size: Shape, ranks: int
) -> tuple[float, Pass]:
    """Rows and forward passes of the dev evaluations of a stage: its dev sets, and what is watched beside them.

    Args:
        times: number of dev evaluations.
    """
    found = [_forward(what.evaluation.data, what.evaluation, size, ranks, what.examples) for what in watched]
    for part in spec.parts:
        if part.dev is not None:
            settings = {"max_length": part.recipe.max_length, "precision": spec.recipe.precision}
            dev = EvaluationSpec(part.task, part.task_version, "dev", part.dev.language, part.dev, settings=settings)
            found.append(_forward(part.dev, dev, size, ranks))
    return times * sum(rows for rows, _ in found), total(work for _, work in found).times(times)


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
