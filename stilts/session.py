"""Session: an experiment with its store, data and expansion. Every command and every API call starts from one."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
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
from stilts.ledger.declared_claims import declare_claims
from stilts.ledger.disk import check_room
from stilts.ledger.needs import CLEANING, Declaration, Needs, declare, list_needs, needs_of, running, unlisted
from stilts.ledger.plain_json import read_object
from stilts.ledger.record import read_stage, take_inventory
from stilts.ledger.revisions import pin_revisions, record_revisions
from stilts.os_errors import DiskFull, NotWritable
from stilts.plan.claims import Claim, claims_of
from stilts.plan.cost.disk import disk_need
from stilts.plan.evidence import evidence
from stilts.plan.expand import Expansion, expand
from stilts.plan.summary import Plan, make_plan
from stilts.storage.lease import Lease
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store
from stilts.storage.parallel import parallel_each, parallel_map
from stilts.storage.protocol import Store
from stilts.tasks.base import get_task

_FILES = 8
"""Data files that are published in parallel; each takes some tens of megabytes of memory."""

_SPEED_SAMPLE = 50
"""Number of records from which the speed is estimated; more would slow planning and change little."""


@dataclass(frozen=True)
class Session:
    """An experiment with its store and data.

    Attributes:
        catalog: the sources of data.
        expansion: cells, chains and the graph of stages.
        known: identities and sizes of the data, also of data that another machine has read.
        declared: the experiment as it was written, where names of hub revisions stood for commits.
    """

    experiment: Experiment
    store: Store
    catalog: Catalog
    expansion: Expansion
    known: KnownData
    declared: Experiment | None = None

    @classmethod
    def of(cls, experiment: Experiment) -> "Session":
        """Open the experiment's store and data, and expand its cells.

        Raises:
            StiltsError: the store cannot be opened; or every mistake in the names, languages and files of the
                experiment.
        """
        store, catalog, known = open_sources(experiment)
        pinned = pin_revisions(experiment, store)
        return cls(pinned, store, catalog, expand(pinned, known), known, experiment)

    @classmethod
    def open(cls, path: Path, overrides: Sequence[str] = (), patches: Sequence[Path] = ()) -> "Session":
        """The session of an experiment that is declared in a YAML file.

        Raises:
            StiltsError: as `load_experiment` and `of`.
        """
        return cls.of(load_experiment(path, overrides, patches=patches))

    @property
    def results(self) -> Path:
        """The folder in which tables, figures and the report are written."""
        return Path(self.experiment.results or f"results/{self.experiment.name}").expanduser()

    @property
    def declaration(self) -> str:
        """Name of its declaration in the store, `NAME/DIGEST`."""
        return f"{self.experiment.name}/{digest(self.experiment.model_dump(mode='json'))[:SHORT]}"

    def plan(self, *, verify: bool = False) -> Plan:
        """Compare the experiment with its store: what is done, and what is missing.

        Args:
            verify: read every stored file that the plan relies on, so that a damaged one counts as missing.
        """
        keys = {key[:SHORT] for key in self.expansion.graph.nodes}
        inventory = take_inventory(self.store, keys, verify=verify)
        sample = [artifact.name for artifact in inventory.values() if artifact.trained][:_SPEED_SAMPLE]
        records = parallel_map(self.store, lambda name: read_stage(self.store, name), sample)
        return make_plan(self.expansion, inventory, self.store.uri, filter(None, records))

    def running(self, waiting: Callable[[str], None]) -> AbstractContextManager[str]:
        """The context of a run: the store knows what it needs, so that nothing of it is removed (`ledger/needs.py`).

        Args:
            waiting: called with the name of another process that must finish first, repeatedly.

        Yields:
            The run's folder in the store.
        """
        return running(self.store, self.experiment.name, self._declare, waiting)

    def declare(self) -> None:
        """Write the resolved declaration to the store, with a list of what it needs. Earlier declarations stay."""
        with Lease(self.store, CLEANING):
            self._declare()

    def _declare(self) -> None:
        self.write_declaration(self.needs())
        self.declare_claims()

    @cached_property
    def claims(self) -> list[Claim]:
        """The claims of the experiment, with their defaults filled in."""
        return claims_of(self.experiment)

    def declare_claims(self) -> None:
        """Note in the store when each claim was declared first, and how many of its results existed then."""
        if not self.claims:
            return
        inventory = take_inventory(self.store, {key[:SHORT] for key in self.expansion.graph.nodes})
        held = {key: artifact.evaluations for key, artifact in inventory.items()}

        def existing(claim: Claim) -> int:
            return sum(path in held.get(key[:SHORT], ()) for key, path in evidence(self.expansion, claim))

        declare_claims(self.store, self.experiment.name, self.claims, existing)

    def write_declaration(self, needs: Needs) -> None:
        """Write the resolved declaration with a list of needs. The caller must hold the lease `CLEANING`."""
        name = self.declaration.rpartition("/")[2]
        declare(self.store, self.experiment.name, name, resolved_yaml(self.experiment), needs)
        record_revisions(self.declared or self.experiment, self.experiment, self.store)
        path = _known_path(self.experiment)
        noted = read_object(self.store, path, "it is written again") or {}
        self.store.write(path, json.dumps({**noted, **self.known.answers}).encode())

    def needs(self) -> Needs:
        """What the experiment needs of its store."""
        return needs_of(self.expansion, [*(ref.path for ref in self.data), *self.catalog.folders])

    def complete_declarations(self) -> None:
        """Add the list of needs to declarations of this experiment that an older version stored without one.

        A store that cannot be written stays as it is.
        """
        lacking = [found for found in unlisted(self.store, self.experiment.name) if self._is_mine(found)]
        if not lacking:
            return
        needs = self.needs()
        with suppress(DiskFull, NotWritable), Lease(self.store, CLEANING):
            for found in lacking:
                list_needs(self.store, found, needs)

    def _is_mine(self, declaration: Declaration) -> bool:
        text = self.store.read(declaration.path)
        return text is not None and read_resolved(text.decode(errors="replace")) == self.experiment

    @cached_property
    def data(self) -> list[DataRef]:
        """Every data set that the experiment reads, without duplicates."""
        refs: dict[str, DataRef] = {}
        for node in self.expansion.graph:
            own = node.spec.data if isinstance(node.spec, StageSpec) else node.spec.text
            refs |= {ref.path: ref for ref in own}
            watched = (what.evaluation for what in node.watched.values())
            for evaluation in (*node.evaluations.values(), *watched):
                refs |= {ref.path: ref for ref in evaluation.refs}
        return list(refs.values())

    def prepare(self, shown: Callable[[Sequence[DataRef]], Iterable[DataRef]] = iter) -> None:
        """Read all data that the store lacks, and write it to the store.

        Args:
            shown: wraps the loop over the data sets, to display progress.

        Raises:
            StiltsError: there is no source for the data of a task, or it cannot be read.
        """
        lacking = unpublished(self.store, self.data)
        absent = self.absent()
        lacking.sort(key=lambda ref: ref.task not in absent)  # tasks without a source first: fail before downloading
        for ref in shown(lacking):
            self.catalog.materialise(ref)
        parallel_each(self.store, lambda ref: self.store.publish(ref.path), lacking, _FILES)

    def absent(self) -> dict[str, str]:
        """Tasks without a source of data, and how to give one. They can be planned, by declared sizes, but not run."""
        found = {ref.task: ref.split for ref in reversed(self.data) if ref.identity.startswith(ABSENT)}
        return {task: self.catalog.ways(get_task(task), split) for task, split in sorted(found.items())}

    def check_disk(self, plan: Plan, trials: int, *, search: bool = False) -> None:
        """Check that there is room for a plan on the disk of a local store and on the disks of this machine, and that
        the folder of the results can be made.

        Where trials run on other machines, those machines' disks are not checked.

        Args:
            trials: number of trials that run at the same time.
            search: whether the plan is that of a search, whose trials train stages like those of the plan.

        Raises:
            StiltsError: too little is free, or a file is in the place of a folder; the message has the path and what
                to do.
        """
        file = next((path for path in (self.results, *self.results.parents) if path.is_file()), None)
        if file is not None:
            raise StiltsError(f"the results cannot be written to {self.results}: {file} is a file; give another folder")
        costs = make_plan(self.expansion, {}, self.store.uri, ()).costs if search else plan.costs
        check_room(disk_need(costs, trials, search=search), self.store, trials)


def open_sources(experiment: Experiment) -> tuple[Store, Catalog, KnownData]:
    """The store of an experiment, its sources of data, and what is known of that data."""
    store = open_store(experiment.store)
    # A local folder is not made here: what only reads needs no write.
    root = store.root if isinstance(store, LocalStore) else store.scratch(".")
    catalog = Catalog(experiment.data, root)
    noted = None
    if sources_are_elsewhere(experiment.data):
        noted = read_object(store, _known_path(experiment), "run `stilts data prepare` where the data is")
    return store, catalog, KnownData(catalog, noted)


def _known_path(experiment: Experiment) -> str:
    """Path in the store of what is known of the declared data (`data/known.py`)."""
    return f"experiments/{experiment.name}/known/{digest(experiment.data.model_dump(mode='json'))[:SHORT]}.json"
