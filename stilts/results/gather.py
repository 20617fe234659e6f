"""Reads the records of an experiment from its store, for the table `results`, the choice on dev and the submission."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.experiment.experiment import Experiment, SeedPartsDecl
from stilts.experiment.recipe import SEED_PARTS, Recipe
from stilts.identity.stage import SHORT, EvaluationSpec
from stilts.ledger.data import read_examples
from stilts.ledger.record import read_evaluation, read_failure, read_predictions, stage_path, take_inventory
from stilts.plan.expand import Expansion
from stilts.plan.todo import Inventory, artifact_name
from stilts.results.choice import judged_by
from stilts.results.submission import write_submission
from stilts.results.table import CellSource, ReadEvaluation, SeedsOfParts, build_table, independent
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store
from stilts.tasks.benchmarks import get_benchmark

log = logging.getLogger(__name__)

_NAMED = 3
"""How many missing records a warning names."""


def cell_sources(expansion: Expansion, inventory: Inventory) -> list[CellSource]:
    """The branches of all cells, with the NAMEs under which the store holds their stages."""
    names = {key: artifact_name(node, inventory) for key, node in expansion.graph.nodes.items()}
    return [
        CellSource(
            model=cell.model,
            intermediate=cell.intermediate,
            target=cell.target,
            seed=cell.seed,
            intermediate_seed=cell.intermediate_seed,
            stage=names[branch.chain[-1]],
            chain=tuple(names[key] for key in branch.chain),
            evaluations=branch.evaluations,
            selection=branch.selection,
            task=cell.task,
            setting=expansion.experiment.targets[cell.target].setting,
        )
        for cell in expansion.cells
        for branch in cell.branches
    ]


def gather(
    expansion: Expansion, store: Store, metrics: Mapping[tuple[str, str], Mapping[str, float] | None] | None = None
) -> pa.Table:
    """Build the table `results` (see `stilts.results.table`) from the current content of the store.

    Args:
        metrics: metrics to use instead of those in the records, by the stage's NAME and the evaluation's path.
    """
    inventory = take_inventory(store, {key[:SHORT] for key in expansion.graph.nodes})
    sources = cell_sources(expansion, inventory)
    names = dict.fromkeys(name for source in sources for name in source.chain)
    done = {artifact.name for artifact in inventory.values() if artifact.trained}
    statuses: dict[str, Mapping[str, Any]] = {name: {"status": "done"} for name in names if name in done}
    others = [name for name in names if name not in done]
    statuses |= zip(others, parallel_map(store, lambda name: _failure_or_missing(store, name), others), strict=True)
    records = _read_evaluations(store, _wanted(sources), inventory)
    for where, found in (metrics or {}).items():
        if record := records.get(where):
            records[where] = {**record, "metrics": found}
    return build_table(
        expansion.experiment.name,
        sources,
        statuses,
        lambda name, spec: records.get((name, spec.path)),
        get_benchmark(expansion.experiment.benchmark),
        _seed_parts(expansion.experiment),
    )


def _seed_parts(experiment: Experiment) -> SeedsOfParts:
    """The seeds of the parts of each cell's seed; empty where the experiment sets none of them apart."""
    if experiment.seed_parts == SeedPartsDecl():
        return {}
    recipes = [Recipe(seed=seed, seed_parts=experiment.seed_parts.of(i)) for i, seed in enumerate(experiment.seeds)]
    return {recipe.seed: {part: recipe.seed_of(part) for part in SEED_PARTS} for recipe in recipes}


def _wanted(cells: Sequence[CellSource]) -> dict[tuple[str, str], EvaluationSpec]:
    return {(cell.stage, spec.path): spec for cell in cells for spec in cell.evaluations}


def _read_evaluations(
    store: Store, wanted: Mapping[tuple[str, str], EvaluationSpec], inventory: Inventory
) -> dict[tuple[str, str], dict[str, Any] | None]:
    """Read the records that the inventory lists, in parallel, by the stage's NAME and the evaluation's path."""
    held = {artifact.name: artifact.evaluations for artifact in inventory.values()}
    there = {where: spec for where, spec in wanted.items() if where[1] in held.get(where[0], ())}
    found = parallel_map(store, lambda item: read_evaluation(store, item[0][0], item[1]), there.items())
    return dict(zip(there, found, strict=True))


def gather_choice(expansion: Expansion, store: Store) -> tuple[list[CellSource], ReadEvaluation]:
    """The independent cells and a function that reads their records on dev data, by which intermediates are chosen.

    A warning names the dev evaluations that are missing although their stage is trained: the choice is made without
    them, and can be another one than with them.
    """
    inventory = take_inventory(store, {key[:SHORT] for key in expansion.graph.nodes})
    cells = independent(cell_sources(expansion, inventory), lambda cell: cell.cell)
    wanted = {(cell.stage, spec.path): spec for cell in cells for spec in judged_by(cell)}
    records = _read_evaluations(store, wanted, inventory)
    trained = {artifact.name for artifact in inventory.values() if artifact.trained}
    _warn_of_missing(store, [where for where in wanted if where[0] in trained and records.get(where) is None], cells)
    return cells, lambda name, spec: records.get((name, spec.path))


def _warn_of_missing(store: Store, missing: Sequence[tuple[str, str]], cells: Sequence[CellSource]) -> None:
    if not missing:
        return
    stages = {name for name, _ in missing}
    targets = sorted({cell.target for cell in cells if cell.stage in stages})
    paths = [f"{store.uri}/{stage_path(name)}/{path}" for name, path in missing]
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    log.warning(
        "%d evaluation(s) on dev data of trained stages are missing or damaged: %s%s. The regime and seed for %s are "
        "chosen without their scores; `stilts run` evaluates them again",
        len(paths),
        ", ".join(paths[:_NAMED]),
        more,
        ", ".join(targets),
    )


def gather_submission(
    expansion: Expansion, store: Store, out: Path, model: str | None, choices: Sequence[str]
) -> dict[str, Any]:
    """Write XTREME's prediction folder (see `stilts.results.submission`) and return its manifest.

    Args:
        model: the base model to submit; may be None if the experiment has only one.
        choices: `TARGET=REGIME` for one target, or `REGIME` for all of them. For other targets the regime with the
            best dev score is submitted.

    Raises:
        StiltsError: the model, a target or a regime does not exist, or there is nothing to submit.
    """
    cells, read = gather_choice(expansion, store)
    official = [cell.target for cell in cells if cell.official]
    intermediates: dict[str, str] = {}
    for choice in choices:
        target, equals, regime = choice.partition("=")
        intermediates |= {target: regime} if equals else dict.fromkeys(official, choice)
    return write_submission(
        out,
        cells,
        read_evaluation=read,
        read_predictions=lambda name, spec: read_predictions(store, name, spec),
        read_examples=lambda spec: read_examples(store, spec.data),
        model=model,
        intermediates=intermediates,
        benchmark=get_benchmark(expansion.experiment.benchmark),
    )


def _failure_or_missing(store: Store, name: str) -> Mapping[str, Any]:
    failure = read_failure(store, name)
    return {"status": "missing", "error": None} if failure is None else failure
