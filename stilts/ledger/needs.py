"""Needs: what a stored experiment needs of the store. Written down, so that it is known without the experiment's data.

Beside each resolved declaration, `experiments/NAME/DIGEST.yaml`, there is a list `DIGEST.json`: the keys of its stages,
the evaluations of each, and its data files. `stilts clean` keeps the union of all lists.

Invariants: the list is written before the declaration and removed after it, so that only an older stilts leaves a
declaration without a list, of which nobody knows what it needs. Declaring and garbage collection exclude each other by
one lease, `CLEANING`. A run inspects the store only after it has declared, so that what it finds stays. A collector
reads the lists only while it holds the lease, and checks the lease before each removal. While a run is in progress it
holds a lease of its own, `experiments/NAME/runs/ID`, so that its experiment is not forgotten. It writes its progress
beside the lease (`ledger/progress.py`).
"""

import json
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from stilts.errors import StiltsError
from stilts.identity.stage import SHORT, StageSpec
from stilts.plan.expand import Expansion
from stilts.plan.keep import best_groups
from stilts.storage.lease import Lease, holder
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Corrupt, Store

SCHEMA = 2
"""Version of the format of lists. A list that uses nothing of version 2 (`best`, `open`) is written as version 1."""
CLEANING = "clean"
"""Folder of the lease for declaring an experiment and for garbage collection."""

_ROOT = "experiments"
_RUNS = "runs"
TRIALS = "trials"
"""Folder of the declared trials of a search, in the folder of the search."""


@dataclass(frozen=True)
class StageNeeds:
    """What an experiment needs of one stage.

    Attributes:
        keeps: whether its weights stay when the experiment is complete.
        feeds: whether other stages start from its weights, which are therefore kept until the experiment is complete.
        tasks: tasks that it trains on.
        evaluations: paths inside its folder, without suffix.
    """

    name: str
    keeps: bool
    feeds: bool
    tasks: tuple[str, ...]
    evaluations: tuple[str, ...]


@dataclass(frozen=True)
class Needs:
    """Everything that an experiment needs of the store.

    Attributes:
        cells: number of its cells.
        stages: by the first 12 digits of their keys.
        data: paths of files and folders.
        written: when it was last run or planned, in seconds since 1970.
        best: groups of stages. Of each group, the weights of the stage with the best dev score are kept
            (`runtime.keep: best`).
        open: whether more stages will be declared that start from those that feed, because a search is not over.
    """

    cells: int
    stages: dict[str, StageNeeds]
    data: tuple[str, ...]
    written: float
    best: tuple[tuple[str, ...], ...] = ()
    open: bool = False


@dataclass(frozen=True)
class Declaration:
    """One stored declaration: of an experiment, `NAME/DIGEST`, or of a trial of a search, `NAME/trials/NUMBER`.

    `needs` is None if an older stilts has written it.
    """

    name: str
    digest: str
    needs: Needs | None

    @property
    def is_trial(self) -> bool:
        """Whether it is of a trial of a search."""
        return self.digest.startswith(f"{TRIALS}/")

    @property
    def id(self) -> str:
        return f"{self.name}/{self.digest}"

    @property
    def path(self) -> str:
        """Path of the declaration in YAML."""
        return f"{_ROOT}/{self.id}.yaml"


def needs_of(expansion: Expansion, data: list[str]) -> Needs:
    """Return what an expanded experiment needs; `data` are the paths of its data."""
    keep = expansion.experiment.runtime.keep
    stages = {}
    for node in expansion.graph:
        feeds = bool(node.children)
        stages[node.key[:SHORT]] = StageNeeds(
            name=node.name,
            keeps=keep == "all" or (keep in ("intermediate", "best") and feeds),
            feeds=feeds,
            tasks=tuple(part.task for part in node.spec.parts) if isinstance(node.spec, StageSpec) else (),
            evaluations=tuple(node.evaluations),
        )
    return Needs(len(expansion.cells), stages, tuple(data), time.time(), best_groups(expansion))


def declare(store: Store, name: str, digest: str, text: str, needs: Needs) -> None:
    """Store a declaration and its needs. The caller must hold the lease `CLEANING`."""
    list_needs(store, Declaration(name, digest, None), needs)
    store.write(f"{_ROOT}/{name}/{digest}.yaml", text.encode())


def list_needs(store: Store, declaration: Declaration, needs: Needs) -> None:
    """Store the needs of a declaration. The caller must hold the lease `CLEANING`."""
    store.write(f"{_ROOT}/{declaration.id}.json", json.dumps(_to_json(needs)).encode())


def forget(store: Store, declaration: Declaration) -> None:
    """Remove a declaration from the store. The caller must hold the lease `CLEANING`."""
    store.remove(declaration.path)
    store.remove(f"{_ROOT}/{declaration.id}.json")


def trial_id(number: int) -> str:
    """Name of the declaration of a search's trial, in the folder of the search."""
    return f"{TRIALS}/{number}"


def trial_declarations(store: Store, name: str) -> dict[int, Declaration]:
    """The declared trials of a search, by number."""
    found = _declared(store, name, TRIALS)
    numbers = {declaration.digest.rpartition("/")[2]: declaration for declaration in found}
    return {int(number): declaration for number, declaration in numbers.items() if number.isdecimal()}


def let_weights_go(store: Store, declaration: Declaration, keys: Collection[str]) -> Declaration:
    """Change a stored declaration, so that it does not keep the weights of some stages. Returns the changed one.

    This needs no lease: whoever has read the earlier list keeps more than is necessary.

    Args:
        keys: the first 12 digits of the stages' keys.
    """
    needs = declaration.needs
    if needs is None or not any(needs.stages[key].keeps for key in keys if key in needs.stages):
        return declaration
    changed = {key: replace(needs.stages[key], keeps=False) for key in keys if key in needs.stages}
    fewer = replace(needs, stages={**needs.stages, **changed})
    list_needs(store, declaration, fewer)
    return replace(declaration, needs=fewer)


def declarations(store: Store) -> list[Declaration]:
    """Every declaration in the store, by name.

    Raises:
        Corrupt: a list was written by a newer stilts.
    """
    names = [(name, folder) for name in store.list(_ROOT) for folder in ("", TRIALS)]
    found = parallel_map(store, lambda at: _declared(store, *at), names)
    return [declaration for group in found for declaration in group]


def _declared(store: Store, name: str, folder: str) -> list[Declaration]:
    """The declarations of an experiment, or in a folder of it."""
    at = f"{name}/{folder}" if folder else name
    files = (file.rpartition(".") for file in store.list(f"{_ROOT}/{at}"))
    digests = sorted({stem for stem, _, ending in files if stem and ending in ("yaml", "json")})
    needs = parallel_map(store, lambda digest: _read(store, f"{_ROOT}/{at}/{digest}.json"), digests)
    inside = [f"{folder}/{digest}" if folder else digest for digest in digests]
    return [Declaration(name, digest, found) for digest, found in zip(inside, needs, strict=True)]


def unlisted(store: Store, name: str) -> list[Declaration]:
    """Declarations of an experiment without a list, which an older stilts has stored."""
    files = set(store.list(f"{_ROOT}/{name}"))
    digests = [file.removesuffix(".yaml") for file in sorted(files) if file.endswith(".yaml")]
    return [Declaration(name, digest, None) for digest in digests if f"{digest}.json" not in files]


@contextmanager
def running(store: Store, name: str, declare: Callable[[], None], waiting: Callable[[str], None]) -> Iterator[str]:
    """Context of a run: declares the experiment and holds the lease of the run until the end. Gives the run's folder.

    Args:
        declare: writes the declaration.
        waiting: called each second with the holder of the lease, while a collector or another declaration is at work.
    """
    run = f"{_ROOT}/{name}/{_RUNS}/{uuid.uuid4().hex[:12]}"
    lease = Lease(store, run)
    with ExitStack() as stack:
        with Lease(store, CLEANING, waiting):
            for path in dead_runs(store, name):
                store.remove(path)
            declare()
            lease.acquire()
            stack.callback(_remove_quietly, store, run)
            stack.push(lease)
        yield run


def _remove_quietly(store: Store, run: str) -> None:
    with suppress(StiltsError, OSError):  # the lease expires by itself; the failure must not hide how the run ended
        store.remove(run)


def runs(store: Store, name: str) -> dict[str, str]:
    """Runs of an experiment that are in progress: the driver of each, by path."""
    found = {path: holder(store, path) for path in all_runs(store, name)}
    return {path: who for path, who in found.items() if who is not None}


def dead_runs(store: Store, name: str) -> list[str]:
    """Folders of killed runs. The caller must hold `CLEANING`, or a run that is beginning could be among them."""
    return [path for path in all_runs(store, name) if holder(store, path) is None]


def all_runs(store: Store, name: str) -> list[str]:
    """Folders of all runs of an experiment, in progress or killed."""
    folder = f"{_ROOT}/{name}/{_RUNS}"
    return [f"{folder}/{run}" for run in store.list(folder)]


# --- the file ----------------------------------------------------------------------------------------------


def _to_json(needs: Needs) -> dict[str, Any]:
    """JSON in which the evaluations of a stage are an index into a list of the few distinct sets of them."""
    sets: dict[tuple[str, ...], int] = {}
    stages = {}
    for key, stage in needs.stages.items():
        evaluations = sets.setdefault(stage.evaluations, len(sets))
        stages[key] = {**vars(stage), "evaluations": evaluations}
    return {
        "schema": SCHEMA if needs.best or needs.open else 1,
        "cells": needs.cells,
        "written": needs.written,
        "data": needs.data,
        "evaluations": list(sets),
        "stages": stages,
        **({"best": needs.best} if needs.best else {}),
        **({"open": True} if needs.open else {}),
    }


_NEEDS = TypeAdapter(Needs)
"""Checks the types of a list that was read."""


def _read(store: Store, path: str) -> Needs | None:
    try:
        found = json.loads(store.read(path) or b"null")
        if isinstance(found, dict) and found["schema"] > SCHEMA:
            raise Corrupt(f"{store.uri}/{path} was written by a newer stilts (schema {found['schema']}); upgrade")
        sets = found["evaluations"]
        stages = {key: {**stage, "evaluations": sets[stage["evaluations"]]} for key, stage in found["stages"].items()}
        return _NEEDS.validate_python({**found, "stages": stages})
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
    ):  # damaged: as if there were no list
        return None
