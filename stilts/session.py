"""Session: one experiment, opened on its store, as every command that takes one needs it."""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stilts.data.known import KnownData, sources_are_elsewhere
from stilts.data.prepare import ABSENT, Catalog
from stilts.errors import StiltsError
from stilts.experiment.experiment import Experiment
from stilts.experiment.load import load_experiment, read_resolved, resolved_yaml
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT, DataRef, StageSpec
from stilts.ledger.data import unpublished
from stilts.ledger.needs import CLEANING, Declaration, Needs, declare, list_needs, needs_of, running, unlisted
from stilts.ledger.record import read_stage, take_inventory
from stilts.plan.expand import Expansion, expand
from stilts.plan.summary import Plan, make_plan, summarize
from stilts.storage.lease import Lease
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store
from stilts.storage.parallel import parallel_each, parallel_map
from stilts.storage.protocol import Store
from stilts.tasks.base import get_task

_FILES = 8
"""Data files published at a time: each takes some tens of megabytes of memory."""

_SPEED_SAMPLE = 50
"""Records read to measure speed; more would slow planning and change little."""


@dataclass(frozen=True)
class Session:
    """An experiment, expanded, with its store and data.

    Raises (from `open`):
        StiltsError: every mistake in the YAML, or every mistake in what it names.
    """

    experiment: Experiment
    store: Store
    catalog: Catalog
    expansion: Expansion
    known: KnownData

    @classmethod
    def open(cls, path: Path, overrides: Sequence[str] = (), patches: Sequence[Path] = ()) -> "Session":
        experiment = load_experiment(path, overrides, patches=patches)
        store, catalog, known = open_sources(experiment)
        return cls(experiment, store, catalog, expand(experiment, known), known)

    @property
    def results(self) -> Path:
        """Folder of the tables."""
        return Path(self.experiment.results or f"results/{self.experiment.name}")

    def plan(self, *, verify: bool = False) -> Plan:
        """What is there and what is missing; `verify` reads every stored file that the plan relies on."""
        keys = {key[:SHORT] for key in self.expansion.graph.nodes}
        inventory = take_inventory(self.store, keys, verify=verify)
        sample = [artifact.name for artifact in inventory.values() if artifact.trained][:_SPEED_SAMPLE]
        records = parallel_map(self.store, lambda name: read_stage(self.store, name), sample)
        return make_plan(self.expansion, inventory, self.store.uri, filter(None, records))

    def running(self, waiting: Callable[[str], None]) -> AbstractContextManager[str]:
        """Declared, and known to the store as under way, from the beginning of a run to its end (`ledger/needs.py`).

        Gives the run's folder in the store.
        """
        return running(self.store, self.experiment.name, self._declare, waiting)

    def declare(self) -> None:
        """Keep the resolved declaration in the store, under its digest, with what it needs: earlier ones stay."""
        with Lease(self.store, CLEANING):
            self._declare()

    def _declare(self) -> None:
        name = digest(self.experiment.model_dump(mode="json"))[:SHORT]
        declare(self.store, self.experiment.name, name, resolved_yaml(self.experiment), self._needs())
        path = _known_path(self.experiment)
        noted = json.loads(self.store.read(path) or b"{}")
        self.store.write(path, json.dumps({**noted, **self.known.answers}).encode())

    def _needs(self) -> Needs:
        return needs_of(self.expansion, [*(ref.path for ref in self.data), *self.catalog.folders])

    def complete_declarations(self) -> None:
        """Write what this experiment needs beside the declarations of it that an older stilts stored without."""
        lacking = [found for found in unlisted(self.store, self.experiment.name) if self._is_mine(found)]
        if not lacking:
            return
        needs = self._needs()
        with Lease(self.store, CLEANING):
            for found in lacking:
                list_needs(self.store, found, needs)

    def _is_mine(self, declaration: Declaration) -> bool:
        text = self.store.read(declaration.path)
        return text is not None and read_resolved(text.decode(errors="replace")) == self.experiment

    @cached_property
    def data(self) -> list[DataRef]:
        """Everything that is read from a source, once each."""
        refs: dict[str, DataRef] = {}
        for node in self.expansion.graph:
            own = node.spec.data if isinstance(node.spec, StageSpec) else node.spec.text
            refs |= {ref.path: ref for ref in own}
            watched = (what.evaluation for what in node.watched.values())
            for evaluation in (*node.evaluations.values(), *watched):
                refs |= {ref.path: ref for ref in evaluation.refs}
        return list(refs.values())

    def prepare(self, shown: Callable[[Sequence[DataRef]], Iterable[DataRef]] = iter) -> None:
        """Put all data that the store lacks into it.

        Args:
            shown: wraps the loop over what is prepared, to show its progress.

        Raises:
            StiltsError: nothing provides a task's data, or it cannot be read.
        """
        lacking = unpublished(self.store, self.data)
        absent = self.absent()
        lacking.sort(key=lambda ref: ref.task not in absent)  # what must fail, fails before anything is downloaded
        for ref in shown(lacking):
            self.catalog.materialise(ref)
        parallel_each(self.store, lambda ref: self.store.publish(ref.path), lacking, _FILES)

    def absent(self) -> dict[str, str]:
        """Tasks whose data nothing provides, and how to give it: they can be planned, from declared sizes, not run."""
        found = {ref.task: ref.split for ref in reversed(self.data) if ref.identity.startswith(ABSENT)}
        return {task: self.catalog.ways(get_task(task), split) for task, split in sorted(found.items())}

    def check_disk(self, plan: Plan) -> None:
        """Raise where the store's disk cannot hold what the plan writes at its peak; an object store has room.

        Raises:
            StiltsError: too little is free; the message has both figures.
        """
        if not isinstance(self.store, LocalStore):
            return
        need, free = summarize(plan)["bytes"]["peak"], shutil.disk_usage(self.store.scratch(".")).free
        if need > free:
            raise StiltsError(
                f"the store {self.store.uri} has {free / 1e9:.1f} GB free and this run needs {need / 1e9:.1f} GB "
                "at its peak; free some space, set runtime.keep: none, lower runtime.max_parallel, or move the store"
            )


def open_sources(experiment: Experiment) -> tuple[Store, Catalog, KnownData]:
    store = open_store(experiment.store)
    catalog = Catalog(experiment.data, store.scratch("."))
    noted = store.read(_known_path(experiment)) if sources_are_elsewhere(experiment.data) else None
    return store, catalog, KnownData(catalog, None if noted is None else json.loads(noted))


def _known_path(experiment: Experiment) -> str:
    """Where answers about this declaration of data are kept (`data/known.py`)."""
    return f"experiments/{experiment.name}/known/{digest(experiment.data.model_dump(mode='json'))[:SHORT]}.json"
