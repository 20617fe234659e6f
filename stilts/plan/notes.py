"""Notes: properties of an experiment that are no mistakes but that its author should know before the run."""

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stilts.data.known import missing_paths, sources_are_elsewhere
from stilts.errors import counted
from stilts.experiment.data import DataDecl
from stilts.experiment.experiment import Experiment
from stilts.experiment.recipe import SHORT_WARMUP
from stilts.identity.stage import EvaluationSpec, StageSpec
from stilts.plan.cost.tokens import planned_examples
from stilts.plan.graph import Graph
from stilts.plan.training import LENGTH_UNITS, idle_fields
from stilts.tasks.base import get_task

CPU_INFO = Path("/proc/cpuinfo")
_CPU_FEATURES = re.compile(r"\w+")
BF16_UNITS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Names of processor features that compute in bf16: those of x86, and Arm's."""

LONG_WARMUP = 0.5
"""Fraction of the steps from which a warm-up is noted. Published recipes take a tenth or less."""


def notes(graph: Graph) -> list[str]:
    """Notes on recipes that are valid and probably not meant, and on maximum lengths that differ between training and
    evaluation. Equal notes are given once."""
    found = [note for node in graph if isinstance(node.spec, StageSpec) for note in warmup_notes(node.spec)]
    for node in graph:
        if isinstance(node.spec, StageSpec):
            found += _length_notes(node.spec, node.evaluations.values())
            if node.spec.selects or node.watched:
                found += _interval_notes(node.spec)
            found += [*_example_notes(node.spec), *_field_notes(node.spec)]
    return list(dict.fromkeys(found))


def idle_notes(experiment: Experiment, graph: Graph) -> list[str]:
    """Notes on what the experiment declares without effect: recipes and settings of tasks that it neither trains nor
    evaluates, paths of such tasks that do not exist, and lengths that another length of the same recipe replaces."""
    trained = {part.task for node in graph if isinstance(node.spec, StageSpec) for part in node.spec.parts}
    evaluated = {spec.task for node in graph for spec in node.evaluations.values()}
    found = []
    for section, declared, used, what in (
        ("recipes", experiment.recipes, trained, "trained"),
        ("settings", experiment.settings, evaluated, "evaluated"),
    ):
        if idle := [name for name in declared if name not in used]:
            found.append(f"{section} of tasks that are not {what} here have no effect: {', '.join(idle)}")
    found += _path_notes(experiment.data, {*trained, *evaluated, *_read_tasks(graph)})
    return found + [note for where, recipe in _recipes(experiment) for note in _replaced(where, recipe)]


def precision_notes(graph: Graph, cpu_info: Path = CPU_INFO) -> list[str]:
    """A note on stages that compute in bf16 on a CPU that has no units for it.

    Args:
        cpu_info: the kernel's description of the processors. Nothing is noted where there is none.
    """
    try:
        features = set(_CPU_FEATURES.findall(cpu_info.read_text()))
    except OSError:
        return []
    if features & BF16_UNITS:
        return []
    stages = sum(node.spec.recipe.precision == "bf16" for node in graph if isinstance(node.spec, StageSpec))
    if not stages:
        return []
    return [
        f"{counted(stages, 'stage')} in bf16, for which the CPU of this machine has no units and is several times "
        "slower than fp32; on such a CPU set recipe: {precision: fp32}"
    ]


def _read_tasks(graph: Graph) -> set[str]:
    """The tasks whose data the nodes read, among them the parts of unions and the text of tokenizers."""
    found: set[str] = set()
    for node in graph:
        found |= {ref.task for ref in (node.spec.data if isinstance(node.spec, StageSpec) else node.spec.text)}
        found |= {ref.task for spec in node.evaluations.values() for ref in spec.refs}
    return found


def _path_notes(data: DataDecl, used: set[str]) -> Iterator[str]:
    """Yield a note for each missing path of a task that is not used. Those of the others are mistakes found elsewhere.

    On a machine that has none of the data, missing paths are expected.
    """
    read = {name: source for name, source in data.tasks.items() if name in used}
    if sources_are_elsewhere(data.model_copy(update={"tasks": read})):
        return
    for name, source in data.tasks.items():
        for split, path in missing_paths(source).items() if name not in used else ():
            yield f"data.tasks.{name}.{split}: {path} does not exist; {name} is not used here, so that it has no effect"


def _recipes(experiment: Experiment) -> Iterator[tuple[str, Any]]:
    """Every recipe that is declared, with its place."""
    yield "recipe", experiment.recipe
    yield from ((f"recipes.{name}", recipe) for name, recipe in experiment.recipes.items())
    for name, model in experiment.models.items():
        yield from ((f"models.{name}.pretrain.{i}.recipe", stage.recipe) for i, stage in enumerate(model.pretrain))
    for name, regime in experiment.intermediates.items():
        yield from ((f"intermediates.{name}.{i}.recipe", stage.recipe) for i, stage in enumerate(regime.stages))


def _replaced(where: str, recipe: Any) -> Iterator[str]:
    """Yield a note for each length of a recipe that another length replaces."""
    given = [name for name in LENGTH_UNITS if recipe.model_dump().get(name) is not None]
    for name in given[:-1]:
        yield f"{where}.{name} has no effect, because {where}.{given[-1]} replaces it"


def planned_steps(spec: StageSpec) -> int | None:
    """Number of optimizer steps of a stage; None if the size of its data is unknown.

    For question answering in epochs it is a lower bound: a long context becomes several windows, and each window takes
    one place in a batch.
    """
    if spec.recipe.max_tokens is None and spec.recipe.max_steps is not None:
        return spec.recipe.max_steps
    examples = planned_examples(spec)
    return math.ceil(examples / spec.recipe.batch_size) if examples else None


def warmup_notes(spec: StageSpec) -> Iterator[str]:
    """Yield a note if the warm-up takes half of the stage or more, or, given in steps, is as long as the training."""
    steps, recipe = planned_steps(spec), spec.recipe
    if LONG_WARMUP <= recipe.warmup < 1:
        yield (
            f"{_tasks(spec)}: the warm-up takes {100 * recipe.warmup:g}% of the training (warmup: {recipe.warmup:g}); "
            "set a smaller fraction, or a number of steps"
        )
    if steps is None or recipe.warmup < 1 or recipe.warmup < steps:
        return
    so_long = f"{_tasks(spec)}: the warm-up of {recipe.warmup:g} steps is as long as the training (about {steps} steps)"
    if recipe.long_warmup == "keep":
        reached = max(0, steps - 1) / recipe.warmup
        yield (
            f"{so_long} and is kept: the learning rate ends at {reached:.2f} of {recipe.learning_rate:g} and never "
            "decays (long_warmup: keep)"
        )
    else:
        yield f"{so_long} and is shortened to the first {SHORT_WARMUP:.0%} of the steps; set warmup, or train longer"


def _tasks(spec: StageSpec) -> str:
    return " + ".join(part.task for part in spec.parts)


def _interval_notes(spec: StageSpec) -> Iterator[str]:
    """Yield a note if a stage ends before its first evaluation is due."""
    steps, every = planned_steps(spec), spec.recipe.evaluate_every
    if steps is not None and every is not None and every > steps:
        yield (
            f"{_tasks(spec)}: evaluate_every {every} is more than the training has steps (about {steps}), so that it "
            "is evaluated at its end only"
        )


def _example_notes(spec: StageSpec) -> Iterator[str]:
    """Yield a note for each task that has no more examples than `max_examples` in any language."""
    for part in spec.parts:
        limit, rows = part.recipe.max_examples, [ref.rows for ref in part.train]
        known = [count for count in rows if count]
        if limit is not None and len(known) == len(rows) and max(known) < limit:
            sets = "the training set has" if len(known) == 1 else "each training set has at most"
            yield f"{part.task}: max_examples {limit} has no effect, because {sets} {max(known)} examples"


def _field_notes(spec: StageSpec) -> Iterator[str]:
    """Yield a note for each field of the recipe that has no effect on any of the stage's tasks.

    `recipes.TASK.FIELD` is refused where it has no effect; this is about `recipe` of the experiment or of a stage.
    """
    idle = [set(idle_fields(get_task(part.task), part.recipe.model_dump())) for part in spec.parts]
    for name in sorted(set.intersection(*idle)):
        yield f"{_tasks(spec)}: recipe.{name} has no effect on this training, but changes its key; leave it out"


def _length_notes(spec: StageSpec, evaluations: Iterable[EvaluationSpec]) -> Iterator[str]:
    if len(spec.parts) > 1:
        return
    (part,) = spec.parts
    for evaluation in evaluations:
        length = evaluation.settings.get("max_length")
        if get_task(evaluation.task).train_on == part.task and length not in (None, part.recipe.max_length):
            yield (
                f"{evaluation.task}: trained with max_length {part.recipe.max_length} and evaluated with {length} "
                "(recipe.max_length, settings.max_length)"
            )
