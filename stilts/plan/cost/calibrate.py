"""Calibration: factors of the cost model from the stages that a store holds, for each kind of hardware.

The seconds of a stage's optimizer steps are a sum of a few components (`rates.Parts`), each of which the assumed
constants may miss by a factor. The factors are fitted by non-negative least squares on relative errors, with less
weight for stages that do not fit, and with a weak pull towards the factor that fits all stages on median. So one
measured stage moves all components alike, and many different stages tell them apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from statistics import median
from typing import Any

from pydantic import ValidationError

from stilts.encoders.sizes import Shape
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import StageSpec
from stilts.plan.cost.estimate import stage_shapes, watching_work
from stilts.plan.cost.hardware import HARDWARE, Hardware, hardware_of
from stilts.plan.cost.rates import Factors, Rates, rank_link
from stilts.plan.cost.tokens import trained_tokens
from stilts.plan.cost.work import Work, training_work
from stilts.plan.graph import Graph, Node

PULL = 0.02
"""Weight of the median factor, in stages."""
OUTLIER = 0.25
"""Relative error from which a stage gets less weight."""
ROUNDS = 8
"""Number of fits. Each gives new weights, and new components that count on a GPU (see `rates.Rates.together`)."""
SHRINK = 1.0
"""Weight of the factors of all tasks against the stages of one set of tasks, in stages."""


@dataclass(frozen=True)
class Observation:
    """One measured stage.

    Attributes:
        rates: the assumed rates of the hardware that it ran on.
        work: of one rank.
        tasks: that it trained, in order.
        seconds: of its training, with dev evaluations.
        watching: seconds of its dev evaluations; None where they were not recorded.
        setup: seconds before its training; None where they were not recorded.
    """

    rates: Rates
    work: Work
    tasks: tuple[str, ...]
    seconds: float
    watching: float | None = None
    setup: float | None = None


@dataclass(frozen=True)
class Measured:
    """What the stages of one kind of hardware show.

    Attributes:
        count: number of stages.
    """

    hardware: Hardware
    factors: Factors
    by_tasks: Mapping[tuple[str, ...], float]
    count: int

    def apply(self, rates: Rates) -> Rates:
        """Rates of this hardware as measured."""
        source = f"measured on {self.count} stage{'s' if self.count > 1 else ''} of this store"
        return replace(rates, flops=None, factors=self.factors, by_tasks=self.by_tasks, source=source)


def measure(graph: Graph, records: Iterable[Mapping[str, Any]], *, gpu: bool) -> dict[str, Measured]:
    """Fit the factors of every kind of hardware that the stages of a graph were trained on, the most frequent first.

    Args:
        records: stage records of the store.
        gpu: whether those trained on GPUs count, or those trained on CPUs.
    """
    groups: dict[str, list[Observation]] = {}
    for found in observations_of(graph, records, gpu=gpu):
        groups.setdefault(found.rates.hardware.name, []).append(found)
    ordered = sorted(groups.values(), key=len, reverse=True)
    return {group[0].rates.hardware.name: fit(group) for group in ordered}


def observations_of(graph: Graph, records: Iterable[Mapping[str, Any]], *, gpu: bool) -> list[Observation]:
    """The observations that records of stages of a graph are; arguments as of `measure`."""
    shapes, found = stage_shapes(graph), []
    for record in records:
        node = graph.nodes.get(str(record.get("key")))
        if node is not None and record.get("speed", {}).get("kind") == ("gpu" if gpu else "cpu"):
            one = _observe(node, shapes[node.key], record)
            found += [] if one is None else [one]
    return found


def _observe(node: Node, size: Shape | None, record: Mapping[str, Any]) -> Observation | None:
    """The observation that a record is; None if it does not say how long its training took."""
    spec, train = node.spec, record.get("train", {})
    if not isinstance(spec, StageSpec) or size is None or not train.get("seconds"):
        return None
    try:
        given = record.get("runtime", {})
        runtime = Runtime(**{name: given[name] for name in Runtime.model_fields if name in given})
    except ValidationError:
        return None
    parts = train.get("parts", {})
    seen = [(part, float(found["examples"]), float(found["tokens"])) for part in spec.parts
            if (found := parts.get(part.task, {})).get("tokens")] or trained_tokens(spec)[0]  # fmt: skip
    times = len(record.get("dev", {}).get("curve", ()))
    languages = node.watched.values() if record.get("dev", {}).get("languages") else ()
    watched, watching = watching_work(spec, languages, times, size, runtime.ranks)
    work = Work(
        spec.recipe.precision, training_work(spec, size, seen, runtime), watching, watched=watched,
        moved=4 * size.parameters, starts=1,
    )  # fmt: skip
    speed = record["speed"]
    hardware = hardware_of(speed.get("device") or "GPU") if speed["kind"] == "gpu" else HARDWARE["CPU"]
    rates = Rates(hardware, runtime.cpus_per_rank, rank_link(hardware, runtime, None, runtime.ranks))
    tasks = tuple(sorted(part.task for part in spec.parts))
    return Observation(
        rates, work, tasks, float(train["seconds"]), speed.get("evaluation_seconds"), speed.get("setup_seconds")
    )


def fit(observations: Sequence[Observation]) -> Measured:
    """Fit the factors of one kind of hardware to its stages; there must be at least one."""
    common = median(_measured(one, Factors()) / max(_training(one, Factors()), 1e-9) for one in observations)
    setup = _ratio((one.setup, one.rates.setup_seconds(one.work)) for one in observations)
    factors = Factors(common, common, common, common, setup=setup)
    factors = _fit_components(observations, factors, common)
    # Forward passes are made of the same components, so that this factor is relative to those just fitted.
    factors = replace(factors, evaluation=_ratio((one.watching, _watching(one, factors)) for one in observations))
    return Measured(observations[0].rates.hardware, factors, _by_tasks(observations, factors), len(observations))


def _fit_components(observations: Sequence[Observation], factors: Factors, common: float) -> Factors:
    """Fit the four factors of training, starting from one factor for all."""
    import numpy as np
    from scipy.optimize import nnls  # not at the top: plans of empty stores need no scipy, which takes long to import

    weights = np.ones(len(observations))
    pull = np.eye(4) * PULL**0.5
    for _ in range(ROUNDS):
        seconds = np.array([_measured(one, factors) for one in observations])
        rows = np.array([_active(one, factors) for one in observations]) * common / seconds[:, None]
        scale = weights[:, None] ** 0.5
        found, _ = nnls(np.vstack([rows * scale, pull]), np.concatenate([scale[:, 0], np.diag(pull)]))
        arithmetic, memory, host, communication = (float(value) for value in np.maximum(found * common, 1e-6))
        factors = replace(factors, arithmetic=arithmetic, memory=memory, host=host, communication=communication)
        errors = np.array([_training(one, factors) for one in observations]) / seconds - 1.0
        weights = np.minimum(1.0, OUTLIER / np.maximum(np.abs(errors), 1e-9))
    return factors


def _active(one: Observation, factors: Factors) -> tuple[float, float, float, float]:
    """Seconds of the components at the assumed constants; 0 for those that others hide at these factors."""
    assumed = one.rates.parts(one.work.training, one.work.precision)
    arithmetic, memory, host, communication = astuple(assumed)
    if one.rates.hardware.is_gpu:
        now = replace(one.rates, factors=factors).parts(one.work.training, one.work.precision)
        if now.host > now.arithmetic + now.memory:
            arithmetic = memory = 0.0
        else:
            host = 0.0
    return arithmetic, memory, host, communication


def _training(one: Observation, factors: Factors) -> float:
    return replace(one.rates, factors=factors).training_seconds(one.work)


def _watching(one: Observation, factors: Factors) -> float:
    return replace(one.rates, factors=factors).evaluation_seconds(
        one.work.watching, one.work.precision, one.work.watched
    )


def _measured(one: Observation, factors: Factors) -> float:
    """Measured seconds of the optimizer steps: without dev evaluations, which are predicted if they were not timed."""
    watching = _watching(one, factors) if one.watching is None else one.watching
    return max(one.seconds - watching, 0.05 * one.seconds, 1e-3)


def _ratio(pairs: Iterable[tuple[float | None, float]]) -> float:
    """Median of measured to predicted seconds; 1 if nothing was measured."""
    found = [measured / predicted for measured, predicted in pairs if measured and predicted > 0]
    return median(found) if found else 1.0


def _by_tasks(observations: Sequence[Observation], factors: Factors) -> dict[tuple[str, ...], float]:
    """How much longer than predicted the stages of each set of tasks took, shrunk towards 1 where there are few."""
    ratios: dict[tuple[str, ...], list[float]] = {}
    for one in observations:
        ratios.setdefault(one.tasks, []).append(_measured(one, factors) / max(_training(one, factors), 1e-9))
    return {tasks: median(found) ** (len(found) / (len(found) + SHRINK)) for tasks, found in ratios.items()}
