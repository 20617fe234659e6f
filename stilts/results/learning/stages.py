"""All training runs of an experiment with their place in its cells, their status and their record."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stilts.identity.stage import SHORT, StageSpec
from stilts.ledger.record import read_failure, read_stage, take_inventory
from stilts.plan.expand import Cell, Expansion
from stilts.plan.graph import Node
from stilts.plan.todo import Inventory, artifact_name
from stilts.results.table import independent
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store
from stilts.tasks.base import get_task

PRETRAIN, INTERMEDIATE, TARGET = "pretrain", "intermediate", "target"


@dataclass(frozen=True)
class UsedStage:
    """A stage that a cell uses. A stage that several regimes or targets share occurs once for each of them.

    Attributes:
        intermediate: name of the regime; None for stages that come before every regime (role `pretrain`).
        target: name of the target in the experiment; None before the target stage.
        task: name of the evaluated task; None before the target stage.
        seed: seed of the cell; before the target stage, seed of the stage itself.
        stage: NAME of the stage.
        role: `pretrain`, `intermediate` or `target`.
        alone: whether this is the cell's only target stage; False if the cell trains one per language.
        before: NAMEs of the stages before it in the chain.
        status: `done`, `failed`, `diverged`, `not run` (a stage before it failed) or `missing`.
        record: the stage's record; None if the stage is not done.
    """

    model: str
    intermediate: str | None
    target: str | None
    task: str | None
    seed: int
    stage: str
    role: str
    alone: bool
    spec: StageSpec
    before: tuple[str, ...] = ()
    status: str = "missing"
    record: Mapping[str, Any] | None = None


def used_stages(expansion: Expansion, store: Store) -> list[UsedStage]:
    """The stages of all independent cells, with their records, in the order of the cells and parents first."""
    inventory = take_inventory(store, {key[:SHORT] for key in expansion.graph.nodes})
    places = list(dict.fromkeys(_places(expansion, inventory)))
    names = dict.fromkeys(name for place in places for name in (*place.before, place.stage))
    done = [artifact.name for artifact in inventory.values() if artifact.trained]
    records = dict(zip(done, parallel_map(store, lambda name: read_stage(store, name), done), strict=True))
    others = [name for name in names if records.get(name) is None]
    failures = dict(zip(others, parallel_map(store, lambda name: read_failure(store, name), others), strict=True))
    ended = {name: failure["status"] for name, failure in failures.items() if failure is not None}
    return [replace(p, status=_status(p, records, ended), record=records.get(p.stage)) for p in places]


def _status(place: UsedStage, records: Mapping[str, Any], ended: Mapping[str, str]) -> str:
    if records.get(place.stage) is not None:
        return "done"
    return ended.get(place.stage) or ("not run" if ended.keys() & set(place.before) else "missing")


def _places(expansion: Expansion, inventory: Inventory) -> Iterator[UsedStage]:
    for cell in independent(expansion.cells, _seeds_of):
        pretrain = len(expansion.experiment.models[cell.model].pretrain)
        for branch in cell.branches:
            chain = [expansion.graph.nodes[key] for key in branch.chain]
            names = tuple(artifact_name(node, inventory) for node in chain)
            for position, node in enumerate(chain):
                if not node.is_base:
                    role = _role(cell, position, len(chain), pretrain)
                    yield _place(cell, node, names[: position + 1], role)


def _seeds_of(cell: Cell) -> tuple[str, str, str, int, int | None]:
    return cell.model, cell.intermediate, cell.target, cell.seed, cell.intermediate_seed


def _role(cell: Cell, position: int, length: int, pretrain: int) -> str:
    """The role of the stage at a position of a chain. Position 0 is the base model."""
    if position <= pretrain:
        return PRETRAIN
    trains = get_task(cell.task).train_on is not None
    return TARGET if trains and position == length - 1 else INTERMEDIATE


def _place(cell: Cell, node: Node, names: tuple[str, ...], role: str) -> UsedStage:
    assert isinstance(node.spec, StageSpec)
    own = role == TARGET
    return UsedStage(
        model=cell.model,
        intermediate=None if role == PRETRAIN else cell.intermediate,
        target=cell.target if own else None,
        task=cell.task if own else None,
        seed=cell.seed if own else node.spec.recipe.seed,
        stage=names[-1],
        role=role,
        alone=len(cell.branches) == 1,
        spec=node.spec,
        before=names[:-1],
    )
