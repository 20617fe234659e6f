"""Notes: what an experiment does on purpose or by default that its reader should know before it runs."""

import math
from collections.abc import Iterable, Iterator

from stilts.experiment.recipe import SHORT_WARMUP
from stilts.identity.stage import EvaluationSpec, StageSpec
from stilts.plan.cost.estimate import planned_examples
from stilts.plan.graph import Graph
from stilts.tasks.base import get_task


def notes(graph: Graph) -> list[str]:
    """Sentences about stages whose warm-up is as long as their training, and about lengths of input that differ between
    training and evaluation; each once."""
    found = [note for node in graph if isinstance(node.spec, StageSpec) for note in warmup_notes(node.spec)]
    for node in graph:
        if isinstance(node.spec, StageSpec):
            found += _length_notes(node.spec, node.evaluations.values())
    return list(dict.fromkeys(found))


def planned_steps(spec: StageSpec) -> int | None:
    """Optimizer steps of a stage; None where the size of its data is not known. Of question answering with epochs it is
    a lower bound: a long context gives several windows, each of which counts in the batch."""
    if spec.recipe.max_tokens is None and spec.recipe.max_steps is not None:
        return spec.recipe.max_steps
    examples = planned_examples(spec)
    return math.ceil(examples / spec.recipe.batch_size) if examples else None


def warmup_notes(spec: StageSpec) -> Iterator[str]:
    """What becomes of a warm-up in steps that is not over before the stage is."""
    steps, recipe = planned_steps(spec), spec.recipe
    if steps is None or recipe.warmup < 1 or recipe.warmup < steps:
        return
    tasks = " + ".join(part.task for part in spec.parts)
    so_long = f"{tasks}: the warm-up of {recipe.warmup:g} steps is as long as the training (about {steps} steps)"
    if recipe.long_warmup == "keep":
        reached = max(0, steps - 1) / recipe.warmup
        yield (
            f"{so_long} and is kept: the learning rate ends at {reached:.2f} of {recipe.learning_rate:g} and never "
            "decays (long_warmup: keep)"
        )
    else:
        yield f"{so_long} and is shortened to the first {SHORT_WARMUP:.0%} of the steps; set warmup, or train longer"


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
