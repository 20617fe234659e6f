"""Check, before anything runs, that the base models can do what the plan asks of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stilts.encoders.architectures import Config, architecture, architectures, max_tokens
from stilts.encoders.checkpoint_files import tensor_files
from stilts.encoders.config_checks import config_problems
from stilts.encoders.configs import config_of
from stilts.encoders.kinds import kind_warning
from stilts.encoders.language_heads import find_language_head
from stilts.encoders.pins import known_pin, pin_is_known, pin_problem, pin_warning
from stilts.errors import Problems, StiltsError
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec, StageSpec
from stilts.plan.graph import Graph, Node
from stilts.tasks.base import get_task
from stilts.tasks.families import get_family


def check_fit(graph: Graph, runtime: Runtime) -> None:
    """Pass if every stage fits its base model. A hub model of which no configuration is known is checked later.

    Raises:
        Problems: a model is no bidirectional encoder, its pinned revision has no safetensors, a sequence of training
            or of an evaluation may be longer than the model's positions, a masked language modelling head would be
            random although pretraining had one, or gradient checkpointing is not supported. Each is reported once.
    """
    problems = list(dict.fromkeys(_misfits(graph, runtime)))
    if problems:
        raise Problems(problems)


def model_warnings(graph: Graph) -> list[str]:
    """Warnings about base models: facts that could not be checked, and types known to give poor results."""
    return list(dict.fromkeys(_warnings(graph)))


def recipe_notes(graph: Graph) -> list[str]:
    """How the authors of a base model fine-tuned it, where the recipe of a stage directly after it differs."""
    found: dict[str, None] = {}
    for node in graph:
        base = graph.nodes.get(str(node.parent))
        if base is not None and isinstance(base.spec, BaseSpec) and isinstance(node.spec, StageSpec):
            found |= dict.fromkeys(_recipe_notes(base, node.spec))
    return list(found)


def _recipe_notes(base: Node, spec: StageSpec) -> Iterator[str]:
    known = None if not isinstance(base.spec, BaseSpec) else known_pin(base.spec.identity.get("hub", ""))
    if known is None or len(spec.parts) > 1:
        return
    task, recipe = spec.parts[0].task, spec.recipe.model_dump()
    published = known.recipes.get(task, {})
    other = {name: value for name, value in published.items() if recipe[name] != value}
    if other:
        theirs = ", ".join(f"{name} {value:g}" for name, value in other.items())
        here = ", ".join(f"{recipe[name]:g}" if recipe[name] is not None else "none" for name in other)
        yield (
            f"{base.name}: its published recipe for {task} has {theirs} ({known.recipe_source}); here: {here} "
            f"(recipes: {{{task}: ...}})"
        )


def model_rows(graph: Graph) -> list[dict[str, Any]]:
    """The hub models of a plan, and whether their revisions are known to hold safetensors, in plain JSON types."""
    hubs = [node.spec.identity for node in graph if isinstance(node.spec, BaseSpec) and "hub" in node.spec.identity]
    return [{**identity, "known_to_load": pin_is_known(identity["hub"], identity["revision"])} for identity in hubs]


def _misfits(graph: Graph, runtime: Runtime) -> Iterator[str]:
    bases: dict[str, tuple[Node, Config | None]] = {}  # without a configuration that has problems of its own
    for node in graph:
        if isinstance(node.spec, BaseSpec):
            try:
                config = config_of(node.spec)
            except StiltsError as error:
                yield f"{node.name}: {error}"
                config = None
            yield from (f"{node.name}: {problem}" for problem in _base_problems(node.spec, config, runtime))
            bases[node.key] = node, None if config is None or config_problems(config) else config
        else:
            bases[node.key] = bases[str(node.parent)]
        base, config = bases[node.key]
        if config is not None:
            found = [*_too_long(node, max_tokens(config)), *_head_problems(node.spec, base.spec, config)]
            yield from (f"{base.name}: {problem}" for problem in found)


def _base_problems(spec: BaseSpec, config: Config | None, runtime: Runtime) -> Iterator[str]:
    if "hub" in spec.identity and (problem := pin_problem(spec.identity["hub"], spec.identity["revision"])):
        yield problem
    if config is None:
        return
    if "hub" in spec.identity:  # the files of the others are checked where they are declared
        yield from config_problems(config)
    kind = config["model_type"]
    if runtime.gradient_checkpointing and not architecture(kind).recomputes:
        yield (
            f"runtime.gradient_checkpointing: transformers has none for {kind}; leave it out and lower "
            "runtime.tokens_per_micro_batch"
        )


def _head_problems(spec: StageSpec | BaseSpec, base: StageSpec | BaseSpec, config: Config) -> Iterator[str]:
    """Yield a problem if a stage trains masked language modelling on a model whose pretrained head cannot be read."""
    assert isinstance(base, BaseSpec)
    if not _trains_mlm(spec) or "init" in base.identity:
        return
    kind = config["model_type"]
    if kind not in architectures():
        yield (
            "masked language modelling would begin with a random head: the names of the head's tensors are not known "
            f"for the model type {kind!r}; leave the stages of mlm out, or add an entry to stilts/encoders/library"
        )
    elif base.source is not None:
        found = find_language_head(config, tensor_files(Path(base.source)), architecture(kind))
        if found is not None and found.problem:
            yield found.problem


def _trains_mlm(spec: StageSpec | BaseSpec) -> bool:
    return isinstance(spec, StageSpec) and any(get_family(get_task(part.task).family).raw_text for part in spec.parts)


def _too_long(node: Node, limit: int | None) -> Iterator[str]:
    """Yield a problem for each training task and evaluation whose sequences are longer than the model's positions."""
    if limit is None:
        return
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


def _warnings(graph: Graph) -> Iterator[str]:
    bases: dict[str, Node] = {}
    for node in graph:
        bases[node.key] = node if isinstance(node.spec, BaseSpec) else bases[str(node.parent)]
        base = bases[node.key]
        assert isinstance(base.spec, BaseSpec)
        if node is base:
            yield from _base_warnings(node)
        elif _trains_mlm(node.spec) and "init" not in base.spec.identity:
            yield from _head_warnings(graph, node, base)


def _base_warnings(node: Node) -> Iterator[str]:
    spec = node.spec
    assert isinstance(spec, BaseSpec)
    config = config_of(spec)
    if "hub" in spec.identity:
        hub, revision = spec.identity["hub"], spec.identity["revision"]
        if warning := pin_warning(hub, revision):
            yield warning
        if config is None:
            yield (
                f"{hub}: its config.json is not known here, so that its size, positions and type are not checked and "
                "it has no price; give `shape:` in its declaration, or download its config.json"
            )
    if config is not None and (warning := kind_warning(config)):
        yield f"{node.name}: {warning}"


def _head_warnings(graph: Graph, node: Node, base: Node) -> Iterator[str]:
    """Yield a warning if a stage of masked language modelling starts with a random head although that is allowed."""
    assert isinstance(base.spec, BaseSpec)
    config = config_of(base.spec)
    kind = "" if config is None else config["model_type"]
    if kind in architectures() and not architecture(kind).pretrained_heads:
        yield f"{base.name}: no masked language modelling head is published for {kind!r}; mlm trains a random one"
    elif config is not None and base.spec.source is not None:
        found = find_language_head(config, tensor_files(Path(base.spec.source)), architecture(kind))
        if found is None:
            yield f"{base.name}: the checkpoint has no masked language modelling head; mlm trains a random one"
    parent = graph.nodes[str(node.parent)]
    if parent is not base and not _trains_mlm(parent.spec):
        yield (
            f"{node.name}: the stage before it keeps no masked language modelling head, so that mlm trains a random "
            "one; put mlm first, or mix the tasks"
        )
