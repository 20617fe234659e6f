"""Fit: whether the base models can do what the plan asks of them, from their configurations, before anything runs."""

from collections.abc import Iterator

from stilts.encoders.architectures import architecture, max_tokens
from stilts.encoders.configs import config_of
from stilts.errors import Problems
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.plan.graph import Graph, Node


def check_fit(graph: Graph, runtime: Runtime) -> None:
    """Pass where every stage fits its base model; models whose configuration is not known offline are passed over.

    Raises:
        Problems: sequences of training or of an evaluation may be longer than the model's positions, or layers are
            to be recomputed that cannot be; each model and task once.
    """
    problems = list(dict.fromkeys(_misfits(graph, runtime)))
    if problems:
        raise Problems(problems)


def _misfits(graph: Graph, runtime: Runtime) -> Iterator[str]:
    limits: dict[str, int | None] = {}
    slugs: dict[str, str] = {}
    for node in graph:
        if isinstance(node.spec, BaseSpec):
            config, slugs[node.key] = config_of(node.spec), node.name
            limits[node.key] = None if config is None else max_tokens(config)
            kind = "" if config is None else config["model_type"]
            if runtime.gradient_checkpointing and not architecture(kind).recomputes:
                yield (
                    f"{node.name}: runtime.gradient_checkpointing: transformers has none for {kind}; leave it out and "
                    "lower runtime.tokens_per_micro_batch"
                )
        else:
            limits[node.key], slugs[node.key] = limits[str(node.parent)], slugs[str(node.parent)]
        limit = limits[node.key]
        if limit is not None:
            yield from (f"{slugs[node.key]}: {problem}" for problem in _too_long(node, limit))


def _too_long(node: Node, limit: int) -> Iterator[str]:
    """What a stage trains or evaluates on with longer sequences than the model has positions."""
    if not isinstance(node.spec, BaseSpec):
        for part in node.spec.parts:
            if part.recipe.max_length > limit:
                yield (
                    f"max_length {part.recipe.max_length} of {part.task} is more than the model's {limit} positions; "
                    "lower it (recipe:, recipes:)"
                )
    for evaluation in (*node.evaluations.values(), *(what.evaluation for what in node.watched.values())):
        length = evaluation.settings.get("max_length", 0)
        if length > limit:
            yield (
                f"max_length {length} of the evaluation on {evaluation.task} is more than the model's {limit} "
                f"positions; lower it (settings: {{{evaluation.task}: {{max_length: {limit}}}}})"
            )
