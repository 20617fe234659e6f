"""Garbage collection: removes what no stored experiment needs. `ledger/garbage.py` finds it.

Invariants:
1. The collector holds the lease `CLEANING`, reads the declarations after it has taken the lease, and checks the lease
   at each removal (`Store.remove`). A run declares what it needs under the same lease and inspects the store only
   afterwards. What it finds in the store therefore stays there.
2. Inside the folder of a stage, something is removed only under the lease of the stage, and only if it is still garbage
   then. So a stage that a trial is working on is left alone, whether it is declared or not.
3. The record of a stage is removed first, and the record of an evaluation before its predictions, so that a kill in
   between leaves no record of missing files. What is left has no record: the next collection removes it, and a run that
   needs the stage trains it.
4. The leases of a removed stage stay for `garbage.OLD_LEASE_SECONDS`, because their numbers keep a paused attempt from
   writing (`storage/lease.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TypeVar

from stilts.errors import StiltsError
from stilts.identity.stage import SHORT
from stilts.ledger.garbage import (
    IN_EXPERIMENT,
    IN_STAGE,
    RECORDS,
    GarbageFinder,
    Item,
    own_evaluations,
    strange_evaluations,
)
from stilts.ledger.needs import CLEANING, forget
from stilts.ledger.record import stage_path, take_inventory
from stilts.plan.todo import Artifact
from stilts.storage.lease import FOLDER, Lease
from stilts.storage.links import link_above
from stilts.storage.protocol import Store

Found = TypeVar("Found")
"""What is known of a piece of garbage."""


def clean(store: Store, wanted: Sequence[Item], forgotten: Sequence[str], waiting: Callable[[str], None]) -> list[Item]:
    """Forget experiments and remove garbage; return what was removed.

    Args:
        wanted: the items that the user has confirmed. Of these, what is still garbage is removed, and nothing else.
        forgotten: experiments to forget, as in `find_garbage`.
        waiting: called with the holder of the lease while a run declares itself or another collector is at work.

    Raises:
        StiltsError: there is no such experiment, or it is running, or its folder is a link.
        LeaseLost: this process was paused, and a run or another collector has taken over.
    """
    if link := link_above(store, f"{CLEANING}/{FOLDER}/lease"):
        raise StiltsError(f"{store.uri}/{link} is a link, through which nothing is written or removed: remove the link")
    paths = {item.path for item in wanted}
    removed: list[Item] = []
    with Lease(store, CLEANING, waiting) as lease:
        examination = GarbageFinder(store, forgotten)
        for declaration in examination.found.forgotten:
            lease.check()
            forget(store, declaration)
        for name in {d.name for d in examination.found.forgotten} - {d.name for d in examination.kept}:
            lease.check()
            _forget_rest(store, f"experiments/{name}")
        by_stage: dict[str | None, list[Item]] = {}
        for item in examination.found.items:
            if item.path in paths:
                by_stage.setdefault(item.stage, []).append(item)
        for item in by_stage.pop(None, []):
            lease.check()
            if link_above(store, item.path) is None:
                store.remove(item.path, lease.check)
                removed.append(item)
        for name in filter(None, by_stage):

            def garbage(artifact: Artifact, name: str = name) -> dict[str, Item]:
                return {item.path: item for item in examination.of_stage(name, artifact) if item.path in paths}

            lease.check()
            removed += remove_from_stage(store, name, garbage, lease).values()
    return removed


def _forget_rest(store: Store, folder: str) -> None:
    """Remove the files that an experiment stores beside its declarations, then the folders that this leaves empty."""
    for part, names in IN_EXPERIMENT.items():
        for name in store.list(f"{folder}/{part}"):
            if names.fullmatch(name) and link_above(store, f"{folder}/{part}/{name}") is None:
                store.remove(f"{folder}/{part}/{name}")
        _remove_if_empty(store, f"{folder}/{part}")
    _remove_if_empty(store, folder)


def _remove_if_empty(store: Store, folder: str) -> None:
    if not list(store.list(folder)):
        store.remove(folder)


def remove_from_stage(
    store: Store, name: str, find: Callable[[Artifact], dict[str, Found]], cleaning: Lease
) -> dict[str, Found]:
    """Remove garbage in the folder of one stage; return it. Removes nothing if somebody works on the stage.

    Args:
        find: returns the garbage by path. It is called while the lease of the stage is held.
        cleaning: the lease `CLEANING`, which the caller holds.

    Raises:
        LeaseLost: another process has taken over one of the leases.
    """
    if link_above(store, f"{stage_path(name)}/{FOLDER}/lease") is not None:
        return {}
    stage = Lease(store, stage_path(name))
    with ExitStack() as stack:
        if not stage.acquire():
            return {}
        stack.push(stage)

        def held() -> None:
            cleaning.check()
            stage.check()

        short = name[-SHORT:]
        found = find(take_inventory(store, {short}).get(short, Artifact(name)))
        for item in found:
            for path in _in_order(store, name, item):
                store.remove(path, held)
    return found


def _in_order(store: Store, name: str, path: str) -> Iterator[str]:
    """Paths that belong to an item of a stage, records first, without the leases."""
    if path == stage_path(name):
        there = set(store.list(path))
        strange = strange_evaluations(store, path)
        for part in (part for part in IN_STAGE if part in there):
            if part == "evaluations" and strange:
                yield from own_evaluations(store, path)
            else:
                yield f"{path}/{part}"
    elif path.startswith(f"{stage_path(name)}/evaluations/"):
        yield from (path + suffix for suffix in RECORDS)
    else:
        yield path
