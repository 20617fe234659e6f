"""Garbage: finds what a store contains and no stored experiment needs.

Needed is the union of what the stored declarations list (`ledger/needs.py`). Everything else that stilts has written is
garbage: stages that no experiment names; evaluations that none names, weights that no setting of `keep` keeps, and
resume states of finished stages; data and features; orphaned files. What stilts has not written is reported and kept.

Invariant: while there is a declaration without a list of its needs, only orphaned files are garbage.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from stilts.errors import StiltsError, nearest
from stilts.identity.stage import SHORT, DataRef
from stilts.ledger.needs import CLEANING, Declaration, Needs, StageNeeds, dead_runs, declarations, runs
from stilts.ledger.record import MODEL_CARD, stage_path, take_inventory
from stilts.plan.todo import Artifact
from stilts.storage.lease import FOLDER, holder
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store

OLD_LEASE_SECONDS = 86400.0
"""Leases of a removed stage are kept for so long. No process is paused for longer and then continues."""
ORPHAN_SECONDS = 600.0
"""After this time, a file of `stilts doctor` or the folder of a dead run is orphaned."""

RECORDS = (".record.json", ".tsv", ".jsonl", ".json")
"""Suffixes of the files of an evaluation, the record first."""
_RESUME = ("resume", "resume.writing", "resume.old")
IN_STAGE = ("record.json", "failure.json", "evaluations", MODEL_CARD, "weights", *_RESUME)
"""What the folder of a stage contains beside the leases, in the order of removal."""
IN_EXPERIMENT = ("known", "spent", "runs", "search")
_TABLE = re.compile(r"[^.][^/]*?-[0-9a-f]{12}\.arrow")
_GENERATED = re.compile(r"generated-[0-9a-f]{12}")
_INDEX = re.compile(r"[0-9a-f]{24}\.json")
_CHECKPOINT = re.compile(r"[0-9a-f]{12}")
"""Patterns of names: tables of data and features, the generated corpus, the index of source files, and base models by
their keys."""
_IN_STORE = ("store.json", "stages", "data", "features", "checkpoints", "experiments", CLEANING, "doctor")


@dataclass(frozen=True)
class Item:
    """One item of garbage.

    Attributes:
        path: a file or folder of the store; for an evaluation, the path of its files without suffix.
        stage: the stage under whose lease it is removed; None if it belongs to no stage.
    """

    path: str
    why: str
    bytes: int
    stage: str | None = None


@dataclass
class GarbageReport:
    """Garbage of a store, and what is kept.

    Attributes:
        forgotten: declarations that are to be forgotten.
        declarations: the other declarations, with the size in bytes of the stages and data that each needs.
        unlisted: declarations of an older stilts, without a list of their needs.
        running: experiments that are running, and the drivers.
        items: the garbage.
        held: stages that no experiment needs but somebody works on, and who; they are kept.
        unknown: paths that stilts has not written; they are kept.
    """

    forgotten: list[Declaration] = field(default_factory=list)
    declarations: list[tuple[Declaration, int]] = field(default_factory=list)
    unlisted: list[Declaration] = field(default_factory=list)
    running: dict[str, str] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)


def find_garbage(store: Store, forgotten: Sequence[str] = ()) -> GarbageReport:
    """Find the garbage of a store. Removes nothing.

    Args:
        forgotten: experiments that count as absent: `NAME` for all of its declarations, or `NAME/DIGEST`.

    Raises:
        StiltsError: this is not a store, there is no such experiment, or it is running.
    """
    return GarbageFinder(store, forgotten).found


class GarbageFinder:
    """Compares a store with what its experiments need."""

    def __init__(self, store: Store, forgotten: Sequence[str]) -> None:
        self.store = store
        self.found = GarbageReport()
        stored = declarations(store)
        if not stored and not any(_is_stage(name) for name in store.list("stages")):
            raise StiltsError(f"{store.uri} is no store of stilts: it has neither experiments nor stages")
        self.found.forgotten = _select(stored, forgotten)
        self.kept = [declaration for declaration in stored if declaration not in self.found.forgotten]
        self.found.unlisted = [declaration for declaration in self.kept if declaration.needs is None]
        self.found.running = self._running({declaration.name for declaration in stored})
        self.needs = [declaration.needs for declaration in self.kept if declaration.needs is not None]
        self.inventory = take_inventory(store)
        self.evaluated = {short: artifact.evaluations for short, artifact in self.inventory.items()}
        self.stages = self._union()
        self._orphans()
        if not self.found.unlisted:
            self._stages()
            self._data()
            self._features()
            self._checkpoints()
        self._unknown()
        self._sizes()

    def _running(self, names: set[str]) -> dict[str, str]:
        found = {name: ", ".join(runs(self.store, name).values()) for name in sorted(names)}
        running = {name: who for name, who in found.items() if who}
        busy = [d for d in self.found.forgotten if d.name in running]
        if busy:
            raise StiltsError(
                f"{busy[0].name} is running on {running[busy[0].name]}: stop that run before you forget the experiment"
            )
        return running

    def _add(self, path: str, why: str, stage: str | None = None, bytes: int | None = None) -> None:
        self.found.items.append(self._item(path, why, stage, bytes))

    def _item(self, path: str, why: str, stage: str | None = None, bytes: int | None = None) -> Item:
        return Item(path, why, self._size(path) if bytes is None else bytes, stage)

    def _size(self, path: str) -> int:
        measure = self.store.measure(path)
        return 0 if measure is None else measure.bytes

    # --- what is needed ----------------------------------------------------------------------------------

    def _union(self) -> dict[str, StageNeeds]:
        """What all experiments together need of each stage; `keeps` says whether its weights are needed now."""
        union: dict[str, StageNeeds] = {}
        for needs in self.needs:
            unfinished = any(self._lacks(short, stage) for short, stage in needs.stages.items())
            for short, stage in needs.stages.items():
                keeps = stage.keeps or self._lacks(short, stage) or (stage.feeds and unfinished)
                known = union.get(short)
                union[short] = StageNeeds(
                    name=stage.name,
                    keeps=keeps or (known is not None and known.keeps),
                    feeds=stage.feeds or (known is not None and known.feeds),
                    tasks=stage.tasks,
                    evaluations=stage.evaluations if known is None else _merged(known.evaluations, stage.evaluations),
                )
        return union

    def _lacks(self, short: str, stage: StageNeeds) -> bool:
        """Whether evaluations of a stage are missing."""
        return not self.evaluated.get(short, frozenset()) >= set(stage.evaluations)

    def _trains(self, short: str) -> bool:
        """Whether a needed stage has yet to be trained, or again because its weights are needed and gone."""
        artifact = self.inventory.get(short)
        return artifact is None or not artifact.trained or (self.stages[short].keeps and not artifact.weights)

    # --- what is not -------------------------------------------------------------------------------------

    def _orphans(self) -> None:
        for path in self.store.orphans():
            self._add(path, "left by a killed process")
        doctor = self.store.measure("doctor")
        if doctor is not None and time.time() - doctor.modified > ORPHAN_SECONDS:
            self._add("doctor", "left by stilts doctor")
        for name in self.store.list("experiments"):
            for run in dead_runs(self.store, name):
                measure = self.store.measure(run)
                if measure is not None and time.time() - measure.modified > ORPHAN_SECONDS:
                    self._add(run, "left by a killed run")

    def _stages(self) -> None:
        def look(name: str) -> tuple[list[Item], str | None]:
            items = self.of_stage(name, self.inventory.get(name[-SHORT:], Artifact(name)))
            return items, holder(self.store, stage_path(name)) if items else None

        names = [name for name in self.store.list("stages") if _is_stage(name)]
        for name, (items, who) in zip(names, parallel_map(self.store, look, names), strict=True):
            if who is not None:
                self.found.held[stage_path(name)] = who
            else:
                self.found.items += items

    def of_stage(self, name: str, artifact: Artifact) -> list[Item]:
        """Garbage in the folder of one stage, if nobody works on it."""
        needed = self.stages.get(name[-SHORT:])
        artifact = artifact if artifact.name == name else Artifact(name)  # another folder has the same key
        folder = stage_path(name)
        there = set(self.store.list(folder))
        if needed is None:
            return self._whole_stage(name, folder, there)
        items = []
        for path in sorted(artifact.evaluations - set(needed.evaluations)):
            size = sum(self._size(f"{folder}/{path}{suffix}") for suffix in RECORDS)
            items.append(self._item(f"{folder}/{path}", "an evaluation that no experiment names", name, size))
        if "weights" in there and artifact.trained and not needed.keeps:
            dropped = [part for part in (MODEL_CARD, "weights") if part in there]
            items += [self._item(f"{folder}/{part}", "weights that runtime.keep drops", name) for part in dropped]
        if artifact.trained and (artifact.weights or not needed.keeps):
            resumes = [part for part in _RESUME if part in there]
            items += [self._item(f"{folder}/{part}", "resume state of a stage that is done", name) for part in resumes]
        return items

    def _whole_stage(self, name: str, folder: str, there: set[str]) -> list[Item]:
        if there & set(IN_STAGE):
            size = sum(self._size(f"{folder}/{part}") for part in there & set(IN_STAGE))
            return [self._item(folder, "a stage that no experiment names", name, size)]
        leases = self.store.measure(f"{folder}/{FOLDER}")
        if there == {FOLDER} and leases is not None and time.time() - leases.modified > OLD_LEASE_SECONDS:
            return [self._item(folder, "old leases of a stage that was removed")]
        return []

    def _data(self) -> None:
        needed = {path for needs in self.needs for path in needs.data}
        for name in self.store.list("data"):
            folder = f"data/{name}"
            if name == "index":
                self._index(needed)
            elif _GENERATED.fullmatch(name):
                if folder not in needed:
                    self._add(folder, "data that no experiment names")
            else:
                for file in self.store.list(folder):
                    table = _table(file)
                    if table is not None and f"{folder}/{table}" not in needed:
                        self._add(f"{folder}/{file}", "data that no experiment names")

    def _index(self, needed: set[str]) -> None:
        """Index entries of source files whose tables are garbage."""
        for file in self.store.list("data/index"):
            content = self.store.read(f"data/index/{file}") or b""
            try:
                path = DataRef(**json.loads(content)).path
            except (ValueError, TypeError):
                path = ""
            if _INDEX.fullmatch(file) and path not in needed:
                self._add(f"data/index/{file}", "index of data that no experiment names", bytes=len(content))

    def _features(self) -> None:
        """Features can be made again. They are kept for the tasks of stages that have yet to be trained."""
        tasks = {task for short, stage in self.stages.items() if self._trains(short) for task in stage.tasks}
        for file in self.store.list("features"):
            table = _table(file)
            if table is not None and table.removesuffix(".arrow")[: -SHORT - 1] not in tasks:
                self._add(f"features/{file}", "features that no stage has to train on")

    def _checkpoints(self) -> None:
        """Local base models that no node has yet to store as a stage."""
        for name in self.store.list("checkpoints"):
            if _CHECKPOINT.fullmatch(name) and not (name in self.stages and self._trains(name)):
                self._add(f"checkpoints/{name}", "a base model that is stored, or that no experiment names")

    # --- what is reported ------------------------------------------------------------------------------------

    def _unknown(self) -> None:
        found = [name for name in self.store.list(".") if name not in _IN_STORE]
        for name in self.store.list("stages"):
            if not _is_stage(name):
                found.append(stage_path(name))
            elif name[-SHORT:] not in self.stages:
                parts = self.store.list(stage_path(name))
                found += [f"{stage_path(name)}/{part}" for part in parts if part not in (*IN_STAGE, FOLDER)]
        found += [f"checkpoints/{name}" for name in self.store.list("checkpoints") if not _CHECKPOINT.fullmatch(name)]
        found += [f"features/{file}" for file in self.store.list("features") if _table(file) is None]
        for name in self.store.list("experiments"):
            files = [f"experiments/{name}/{file}" for file in self.store.list(f"experiments/{name}")]
            known = (".yaml", ".json", *(f"/{part}" for part in IN_EXPERIMENT))
            found += [file for file in files if not file.endswith(known)]
        for name in self.store.list("data"):
            files = list(self.store.list(f"data/{name}"))
            if name == "index":
                found += [f"data/index/{file}" for file in files if not _INDEX.fullmatch(file)]
            elif not files:  # a file, or a folder of tables that went
                found += [f"data/{name}"] if self.store.measure(f"data/{name}") is not None else []
            elif not _GENERATED.fullmatch(name):
                found += [f"data/{name}/{file}" for file in files if _table(file) is None]
        leaving = {item.path for item in self.found.items}
        self.found.unknown = sorted(path for path in found if path not in leaving)

    def _sizes(self) -> None:
        """Sizes of what each experiment needs; each path is measured once."""
        paths = list({path: None for declaration in self.kept for path in self._paths(declaration.needs)})
        sizes = dict(zip(paths, parallel_map(self.store, self._size, paths), strict=True))
        for declaration in self.kept:
            size = sum(sizes[path] for path in self._paths(declaration.needs))
            self.found.declarations.append((declaration, size))

    def _paths(self, needs: Needs | None) -> Iterator[str]:
        if needs is not None:
            yield from needs.data
            yield from (stage_path(self.inventory[short].name) for short in needs.stages if short in self.inventory)


def _select(stored: Sequence[Declaration], wanted: Sequence[str]) -> list[Declaration]:
    """Select declarations by `NAME` or `NAME/DIGEST`.

    Raises:
        StiltsError: there is no such declaration.
    """
    for name in wanted:
        if not any(name in (declaration.name, declaration.id) for declaration in stored):
            known = {known for declaration in stored for known in (declaration.name, declaration.id)}
            hint = nearest(name, known) if known else "the store has none"
            raise StiltsError(f"no experiment {name!r} in the store; {hint}")
    return [declaration for declaration in stored if {declaration.name, declaration.id} & set(wanted)]


def _is_stage(name: str) -> bool:
    slug, dash, key = name.rpartition("-")
    return bool(slug and dash) and len(key) == SHORT and set(key) <= set("0123456789abcdef")


def _table(file: str) -> str | None:
    """Name of the table to which a file of data or features belongs; None if it belongs to none."""
    found = _TABLE.match(file)
    return None if found is None else found.group()


def _merged(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return one if one == other else tuple(dict.fromkeys((*one, *other)))
