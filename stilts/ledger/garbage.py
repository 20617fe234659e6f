"""Garbage: finds what a store contains and no stored experiment needs.

Needed is what the stored declarations need together (`ledger/needed.py`). Everything else that stilts has written is
garbage: stages that no experiment names; evaluations that none names, weights that no setting of `keep` keeps, and
resume states of finished stages; data and features; orphaned files. What stilts has not written is reported and kept.
Nothing is removed through a symbolic link, because it may lead out of the store.

Invariant: while there is a declaration without a list of its needs, only orphaned files are garbage.
"""

import json
import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from stilts.errors import StiltsError, nearest
from stilts.identity.stage import SHORT, DataRef
from stilts.ledger.logs import LOGS
from stilts.ledger.names import DOCTOR, GENERATED, INDEX, KEY, RUN
from stilts.ledger.needed import Needed
from stilts.ledger.needs import CLEANING, TRIALS, Declaration, Needs, dead_runs, declarations, runs
from stilts.ledger.orphans import is_orphan
from stilts.ledger.record import MODEL_CARD, stage_path, take_inventory
from stilts.plan.todo import Artifact
from stilts.storage.lease import FOLDER, holder
from stilts.storage.links import link_above
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store
from stilts.tasks.base import all_tasks

OLD_LEASE_SECONDS = 86400.0
"""Leases of a removed stage are kept for so long. No process is paused for longer and then continues."""
ORPHAN_SECONDS = 600.0
"""After this time, a file of `stilts doctor` or the folder of a dead run is orphaned."""

RECORDS = (".record.json", ".tsv", ".jsonl", ".json")
"""Suffixes of the files of an evaluation, the record first."""
RESUME = ("resume", "resume.writing", "resume.old")
IN_STAGE = ("record.json", "failure.json", LOGS, "evaluations", MODEL_CARD, "weights", *RESUME)
"""What the folder of a stage contains beside the leases, in the order of removal."""
IN_EXPERIMENT = {
    "known": re.compile(r"[0-9a-f]{12}\.json"),
    "spent": re.compile(r"[^.].*\.json"),
    "runs": re.compile(r"[0-9a-f]{12}"),
    "search": re.compile(FOLDER),
    "study": re.compile(r"[0-9]+\.json"),
    "claims": re.compile(r"[0-9a-f]{12}\.json"),
    TRIALS: re.compile(r"[0-9]+\.(?:json|yaml)"),
}
"""Folders that an experiment keeps beside its declarations, and the names of what stilts writes there."""
_TABLE = re.compile(rf"[^.][^/]*?-{KEY}\.arrow")
_GENERATED = re.compile(GENERATED)
_INDEX = re.compile(INDEX)
_CHECKPOINT = re.compile(KEY)
_DOCTOR = re.compile(DOCTOR)
_RUN = re.compile(RUN)
_NOTHING = re.compile(r"(?!)")
"""Patterns of names: tables of data and features, the generated corpus, the index of source files, base models by their
keys, what `stilts doctor` writes, folders of runs, and none."""
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
        for declaration in self.found.forgotten:
            if link := link_above(store, declaration.path):
                raise StiltsError(f"{store.uri}/{link} is a link, through which nothing is removed: remove the link")
        self.kept = [declaration for declaration in stored if declaration not in self.found.forgotten]
        self.found.unlisted = [declaration for declaration in self.kept if declaration.needs is None]
        self.found.running = self._running({declaration.name for declaration in stored})
        self.needs = [declaration.needs for declaration in self.kept if declaration.needs is not None]
        self.inventory = take_inventory(store)
        self.needed = Needed(self.needs, lambda keys: {k: self.inventory[k] for k in keys & self.inventory.keys()})
        self.tasks = self._tasks(stored)
        self._orphans()
        if not self.found.unlisted:
            self._stages()
            self._data()
            self._features()
            self._checkpoints()
        self._unknown()
        self._leave_links()
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

    def _tasks(self, stored: Sequence[Declaration]) -> set[str]:
        """Tasks of which stilts has written data, in `data/TASK`."""
        declared = (path for one in stored if one.needs is not None for path in one.needs.data)
        indexed = (_indexed(self.store, file) for file in self.store.list("data/index"))
        folders = (path.split("/") for path in (*declared, *indexed))
        return {*all_tasks(), *(parts[1] for parts in folders if len(parts) == 3 and parts[0] == "data")}

    # --- what is not -------------------------------------------------------------------------------------

    def _orphans(self) -> None:
        for path in self.store.orphans():
            if is_orphan(path, self.tasks):
                self._add(path, "left by a killed process")
        for name in self.store.list("doctor"):
            doctor = self.store.measure(f"doctor/{name}")
            if _DOCTOR.fullmatch(name) and doctor and time.time() - doctor.modified > ORPHAN_SECONDS:
                self._add(f"doctor/{name}", "left by stilts doctor")
        for name in self.store.list("experiments"):
            for run in dead_runs(self.store, name):
                measure = self.store.measure(run) if _RUN.fullmatch(run) else None
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
        short = name[-SHORT:]
        artifact = artifact if artifact.name == name else Artifact(name)  # another folder has the same key
        folder = stage_path(name)
        if link_above(self.store, f"{folder}/record.json") is not None:
            return []
        there = set(self.store.list(folder))
        if short not in self.needed:
            return self._whole_stage(name, folder, there, artifact)
        items = []
        for path in sorted(artifact.evaluations - self.needed.evaluations(short)):
            size = sum(self._size(f"{folder}/{path}{suffix}") for suffix in RECORDS)
            items.append(self._item(f"{folder}/{path}", "an evaluation that no experiment names", name, size))
        unneeded = unneeded_parts(self.needed, short, artifact, there)
        return items + [self._item(f"{folder}/{part}", why, name) for part, why in unneeded.items()]

    def _whole_stage(self, name: str, folder: str, there: set[str], artifact: Artifact) -> list[Item]:
        made = artifact.trained or FOLDER in there  # otherwise stilts has not made the folder
        parts = there & set(IN_STAGE)
        if made and (parts - {"evaluations"} or any(own_evaluations(self.store, folder))):
            size = sum(self._size(f"{folder}/{part}") for part in parts)
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
                for file in self.store.list(folder) if name in self.tasks else ():
                    if _TABLE.fullmatch(file) and f"{folder}/{file}" not in needed:
                        self._add(f"{folder}/{file}", "data that no experiment names")

    def _index(self, needed: set[str]) -> None:
        """Index entries of source files whose tables are garbage."""
        for file in self.store.list("data/index"):
            if _INDEX.fullmatch(file) and _indexed(self.store, file) not in needed:
                self._add(f"data/index/{file}", "index of data that no experiment names")

    def _features(self) -> None:
        """Features can be made again. They are kept for the tasks of missing stages and missing evaluations."""
        tasks = self.needed.tasks_to_train() | self.needed.tasks_to_evaluate()
        for file in self.store.list("features"):
            if _TABLE.fullmatch(file) and file.removesuffix(".arrow")[: -SHORT - 1] not in tasks:
                self._add(f"features/{file}", "features that no missing stage or evaluation reads")

    def _checkpoints(self) -> None:
        """Local base models that no node has yet to store as a stage."""
        for name in self.store.list("checkpoints"):
            if _CHECKPOINT.fullmatch(name) and not (name in self.needed and self.needed.trains(name)):
                self._add(f"checkpoints/{name}", "a base model that is stored, or that no experiment names")

    # --- what is reported ------------------------------------------------------------------------------------

    def _unknown(self) -> None:
        found = [name for name in self.store.list(".") if name not in _IN_STORE]
        for name in self.store.list("stages"):
            if not _is_stage(name):
                found.append(stage_path(name))
            elif name[-SHORT:] not in self.needed:
                parts = set(self.store.list(stage_path(name)))
                made = FOLDER in parts or name[-SHORT:] in self.inventory
                strange = [part for part in sorted(parts) if part not in (*IN_STAGE, FOLDER)]
                found += [f"{stage_path(name)}/{part}" for part in strange] if made else [stage_path(name)]
                found += strange_evaluations(self.store, stage_path(name)) if made else []
        found += [f"checkpoints/{name}" for name in self.store.list("checkpoints") if not _CHECKPOINT.fullmatch(name)]
        found += [f"features/{file}" for file in self.store.list("features") if not _TABLE.fullmatch(file)]
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
                ours = _TABLE if name in self.tasks else _NOTHING
                found += [f"data/{name}/{file}" for file in files if not ours.fullmatch(file)]
        found += [f"doctor/{name}" for name in self.store.list("doctor") if not _DOCTOR.fullmatch(name)]
        leaving = {item.path for item in self.found.items}
        self.found.unknown = sorted(path for path in found if path not in leaving)

    def _leave_links(self) -> None:
        """Keep what can be reached only through a link, and report the link."""
        links = {item.path: link_above(self.store, item.path) for item in self.found.items}
        links |= {path: link_above(self.store, f"{path}/x") for path in map(stage_path, self.store.list("stages"))}
        self.found.items = [item for item in self.found.items if links[item.path] is None]
        self.found.unknown = sorted({*self.found.unknown, *filter(None, links.values())})

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


def _indexed(store: Store, file: str) -> str:
    """Path of the table that an index entry names; empty if it cannot be read."""
    with suppress(ValueError, TypeError):
        ref = DataRef(**json.loads(store.read(f"data/index/{file}") or b""))
        return ref.path if isinstance(ref.task, str) else ""
    return ""


def own_evaluations(store: Store, folder: str) -> Iterator[str]:
    """Files of the evaluations in the folder of a stage, the records first."""
    files = list(_evaluation_files(store, folder))
    for records in (True, False):
        yield from (f for f in files if f.endswith(RECORDS) and f.endswith(RECORDS[0]) is records)


def strange_evaluations(store: Store, folder: str) -> list[str]:
    """Files among the evaluations of a stage that stilts has not written."""
    return [file for file in _evaluation_files(store, folder) if not file.endswith(RECORDS)]


def _evaluation_files(store: Store, folder: str) -> Iterator[str]:
    for task in store.list(f"{folder}/evaluations"):
        yield from (f"{folder}/evaluations/{task}/{file}" for file in store.list(f"{folder}/evaluations/{task}"))


def unneeded_parts(needed: Needed, short: str, artifact: Artifact, there: Collection[str]) -> dict[str, str]:
    """The weights and resume states of a stage that no declaration needs now: parts of its folder, and why each goes.

    Args:
        short: the first `SHORT` digits of its key.
        there: names in its folder.
    """
    named = short in needed
    if named and not artifact.trained:
        return {}
    parts: dict[str, str] = {}
    kept = named and needed.weights(short)
    if not kept and "weights" in there:
        why = "weights that runtime.keep drops" if named else "weights of a trial that is over"
        parts |= {part: why for part in (MODEL_CARD, "weights") if part in there}
    if artifact.weights or not kept:
        why = "resume state of a stage that is done" if named else "resume state of a trial that is over"
        parts |= {part: why for part in RESUME if part in there}
    return parts
