"""Tokens: how many examples and tokens a stage trains on and an evaluation reads, from declared or counted sizes."""

import math

from stilts.data.mixing import epoch_items, shares
from stilts.identity.stage import DataRef, EvaluationSpec, Part, StageSpec
from stilts.tasks.base import get_task
from stilts.tasks.families import get_family


def trained_tokens(spec: StageSpec) -> tuple[list[tuple[Part, float, float]], set[str]]:
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
    return sum(examples for _, examples, _ in trained_tokens(spec)[0])


def dev_evaluations(spec: StageSpec, examples: float) -> int:
    """Number of dev evaluations of a stage that trains on `examples` examples: one per interval, and one at the end."""
    steps = math.ceil(examples / spec.recipe.batch_size)
    rows = sum(part.rows for part in spec.parts) or examples
    every = spec.recipe.evaluate_every or math.ceil(rows / spec.recipe.batch_size)
    return math.ceil(steps / every) if steps else 0


def evaluated_size(ref: DataRef | None, evaluation: EvaluationSpec) -> tuple[int, float, float]:
    """Number of rows, mean tokens per row, and maximum sequence length of an evaluation's data set."""
    limit = float(evaluation.settings.get("max_length", 512))
    if ref is None or ref.rows is None:
        return 0, 0.0, limit
    return ref.rows, _mean_tokens(ref, limit), limit


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


def _mean_tokens(ref: DataRef, limit: float) -> float:
    """Mean number of tokens per example that the model reads.

    Examples longer than `limit` are truncated, unless the family splits them into several sequences.
    """
    task = get_task(ref.task)
    mean = ref.tokens / ref.rows if ref.tokens is not None and ref.rows else task.tokens_per_row
    return mean if get_family(task.family).splits_examples else min(mean, limit)
