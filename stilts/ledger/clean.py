"""Clean: what no stored experiment needs, removed (`ledger/garbage.py` finds it).

Invariants:
1. Whoever cleans holds `CLEANING`, reads the lists after it took that lease, and looks whether it still has it before
   each removal. A run declares what it needs under the same lease, and looks at the store only then: it finds a thing
   gone, or finds it and it stays.
2. Inside a stage's folder nothing is removed but under the stage's own lease: a trial at work, declared or not, is left
   alone, and what is to go is found again under the lease.
3. A stage's record goes first, an evaluation's record before its predictions: a kill in the middle leaves nothing that
   a record vouches for and that is not there. What is left has no record; the next cleaning removes it, and a run that
   wants the stage trains it.
4. The leases of a removed stage stay for `garbage.OLD_LEASE_SECONDS`: their number is what keeps a paused attempt from
   writing (`storage/lease.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from stilts.identity.stage import SHORT
from stilts.ledger.garbage import IN_EXPERIMENT, IN_STAGE, RECORDS, GarbageFinder, Item
from stilts.ledger.needs import CLEANING, forget
from stilts.ledger.record import stage_path, take_inventory
from stilts.plan.todo import Artifact
from stilts.storage.lease import Lease
from stilts.storage.protocol import Store


def clean(store: Store, wanted: Sequence[Item], forgotten: Sequence[str], waiting: Callable[[str], None]) -> list[Item]:
    """Forget experiments and remove what may go; returns what was removed.

    Args:
        wanted: what the person was shown: nothing else is removed, and of it only what may still go.
        waiting: called with the holder, while a run declares itself or another cleaner is at work.

    Raises:
        StiltsError: there is no such experiment, or a run of it is under way.
        LeaseLost: this process slept, and a run or another cleaner went ahead.
    """
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
            store.remove(item.path)
            removed.append(item)
        for name in filter(None, by_stage):
            lease.check()
            removed += _clean_stage(examination, name, paths, lease)
    return removed


def _forget_rest(store: Store, folder: str) -> None:
    """What an experiment keeps beside its declarations, and its folder, if nothing else is in it."""
    for part in IN_EXPERIMENT:
        store.remove(f"{folder}/{part}")
    if not list(store.list(folder)):
        store.remove(folder)


def _clean_stage(examination: GarbageFinder, name: str, paths: set[str], cleaning: Lease) -> list[Item]:
    """Remove of one stage's folder what may go, if nobody works on it."""
    store = examination.store
    stage = Lease(store, stage_path(name))
    with ExitStack() as stack:
        if not stage.acquire():
            return []
        stack.push(stage)
        found = take_inventory(store, {name[-SHORT:]}).get(name[-SHORT:], Artifact(name))
        items = [item for item in examination.of_stage(name, found) if item.path in paths]
        for item in items:
            for path in _in_order(store, name, item.path):
                cleaning.check()
                stage.check()
                store.remove(path)
    return items


def _in_order(store: Store, name: str, path: str) -> Iterator[str]:
    """The paths that make up an item of a stage, records first; leases are none of them."""
    if path == stage_path(name):
        there = set(store.list(path))
        yield from (f"{path}/{part}" for part in IN_STAGE if part in there)
    elif path.startswith(f"{stage_path(name)}/evaluations/"):
        yield from (path + suffix for suffix in RECORDS)
    else:
        yield path
