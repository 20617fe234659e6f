"""Needs: what a stored experiment needs of the store, written down so that it can be told without its sources.

Beside each resolved declaration, `experiments/NAME/DIGEST.yaml`, lies `DIGEST.json`: the keys of its stages, the
evaluations on each, its data files. `stilts clean` keeps the union over all of them.

Invariants: the list is there before the declaration, and goes after it, so that a declaration without a list is one
of an older stilts, of which nobody knows what it needs. Declaring and cleaning exclude each other by one lease,
`CLEANING`: a run looks at what the store holds only after it declared, so that whatever it finds there stays; a cleaner
reads the lists only while it holds the lease, and looks whether it still does before each removal. While a run is under
way it holds a lease of its own, `experiments/NAME/runs/ID`, so that its experiment is not forgotten under it; beside
the lease it tells how far it is (`ledger/progress.py`).
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from stilts.errors import StiltsError
from stilts.identity.stage import SHORT, StageSpec
from stilts.plan.expand import Expansion
from stilts.storage.lease import Lease, holder
from stilts.storage.protocol import Corrupt, Store

SCHEMA = 1
CLEANING = "clean"
"""Folder of the lease that whoever declares or removes holds."""

_ROOT = "experiments"
_RUNS = "runs"


@dataclass(frozen=True)
class StageNeeds:
    """What an experiment needs of one stage.

    Attributes:
        keeps: its weights stay when all is done; `feeds`: other stages start from them, so that until then they stay.
        tasks: whose features it trains on.
        evaluations: paths inside its folder, without suffix.
    """

    name: str
    keeps: bool
    feeds: bool
    tasks: tuple[str, ...]
    evaluations: tuple[str, ...]


@dataclass(frozen=True)
class Needs:
    """All that an experiment needs.

    Attributes:
        cells: their number.
        stages: by the first 12 digits of their key.
        data: paths of files and folders.
        written: seconds since 1970: when it was last run or planned.
    """

    cells: int
    stages: dict[str, StageNeeds]
    data: tuple[str, ...]
    written: float


@dataclass(frozen=True)
class Declaration:
    """One stored declaration of an experiment, `NAME/DIGEST`; `needs` is None where an older stilts wrote it."""

    name: str
    digest: str
    needs: Needs | None

    @property
    def id(self) -> str:
        return f"{self.name}/{self.digest}"

    @property
    def path(self) -> str:
        """Its declaration, in YAML."""
        return f"{_ROOT}/{self.id}.yaml"


def needs_of(expansion: Expansion, data: list[str]) -> Needs:
    """What an expanded experiment needs, with the paths of its data."""
    keep = expansion.experiment.runtime.keep
    stages = {}
    for node in expansion.graph:
        feeds = bool(node.children)
        stages[node.key[:SHORT]] = StageNeeds(
            name=node.name,
            keeps=keep == "all" or (keep == "intermediate" and feeds),
            feeds=feeds,
            tasks=tuple(part.task for part in node.spec.parts) if isinstance(node.spec, StageSpec) else (),
            evaluations=tuple(node.evaluations),
        )
    return Needs(len(expansion.cells), stages, tuple(data), time.time())


def declare(store: Store, name: str, digest: str, text: str, needs: Needs) -> None:
    """Store a declaration with what it needs; the caller holds `CLEANING`."""
    list_needs(store, Declaration(name, digest, None), needs)
    store.write(f"{_ROOT}/{name}/{digest}.yaml", text.encode())


def list_needs(store: Store, declaration: Declaration, needs: Needs) -> None:
    """Store what a declaration needs; the caller holds `CLEANING`."""
    store.write(f"{_ROOT}/{declaration.id}.json", json.dumps(_to_json(needs)).encode())


def forget(store: Store, declaration: Declaration) -> None:
    """Take a declaration out of the store; the caller holds `CLEANING`."""
    store.remove(declaration.path)
    store.remove(f"{_ROOT}/{declaration.id}.json")


def declarations(store: Store) -> list[Declaration]:
    """Every declaration in the store, by name.

    Raises:
        Corrupt: a newer stilts wrote a list.
    """
    found = []
    for name in store.list(_ROOT):
        files = [file.rpartition(".") for file in store.list(f"{_ROOT}/{name}")]
        for digest in sorted({stem for stem, _, ending in files if ending in ("yaml", "json")}):
            found.append(Declaration(name, digest, _read(store, f"{_ROOT}/{name}/{digest}.json")))
    return found


def unlisted(store: Store, name: str) -> list[Declaration]:
    """The declarations of an experiment that an older stilts stored, without a list."""
    files = set(store.list(f"{_ROOT}/{name}"))
    digests = [file.removesuffix(".yaml") for file in sorted(files) if file.endswith(".yaml")]
    return [Declaration(name, digest, None) for digest in digests if f"{digest}.json" not in files]


@contextmanager
def running(store: Store, name: str, declare: Callable[[], None], waiting: Callable[[str], None]) -> Iterator[str]:
    """A run of an experiment: declared at its beginning, and known to be under way until its end. Gives its folder.

    Args:
        declare: writes the declaration.
        waiting: called each second with the holder, while a cleaner or another declaration is at work.
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
    with suppress(StiltsError, OSError):  # the lease runs out by itself, and must not hide how the run ended
        store.remove(run)


def runs(store: Store, name: str) -> dict[str, str]:
    """Runs of an experiment that are under way: who, by path."""
    found = {path: holder(store, path) for path in all_runs(store, name)}
    return {path: who for path, who in found.items() if who is not None}


def dead_runs(store: Store, name: str) -> list[str]:
    """What killed runs left; asked for while `CLEANING` is held, else one that begins could be among them."""
    return [path for path in all_runs(store, name) if holder(store, path) is None]


def all_runs(store: Store, name: str) -> list[str]:
    """Folders of the runs of an experiment, living and dead."""
    folder = f"{_ROOT}/{name}/{_RUNS}"
    return [f"{folder}/{run}" for run in store.list(folder)]


# --- the file ----------------------------------------------------------------------------------------------


def _to_json(needs: Needs) -> dict[str, Any]:
    """Evaluations as numbers into a list of the distinct ones: the stages of a large grid share a few."""
    sets: dict[tuple[str, ...], int] = {}
    stages = {}
    for key, stage in needs.stages.items():
        evaluations = sets.setdefault(stage.evaluations, len(sets))
        stages[key] = {**vars(stage), "evaluations": evaluations}
    return {
        "schema": SCHEMA,
        "cells": needs.cells,
        "written": needs.written,
        "data": needs.data,
        "evaluations": list(sets),
        "stages": stages,
    }


def _read(store: Store, path: str) -> Needs | None:
    try:
        found = json.loads(store.read(path) or b"null")
        if isinstance(found, dict) and found["schema"] > SCHEMA:
            raise Corrupt(f"{store.uri}/{path} was written by a newer stilts (schema {found['schema']}); upgrade")
        sets = [tuple(paths) for paths in found["evaluations"]]
        stages = {
            key: StageNeeds(
                stage["name"], stage["keeps"], stage["feeds"], tuple(stage["tasks"]), sets[stage["evaluations"]]
            )
            for key, stage in found["stages"].items()
        }
        return Needs(found["cells"], stages, tuple(found["data"]), found["written"])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):  # damaged: nobody knows what it needs
        return None
