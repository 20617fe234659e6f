"""Settle: remove the weights and resume states that no declaration needs now. Every run and search begins and ends so.

It is a function of the store. What the last run has left, whatever ended it, the next one removes. The rules are those
of garbage collection (`ledger/garbage.py`), and so are the leases (`ledger/clean.py`): nobody can declare an experiment
between the moment at which the needs are read and the removal. It looks only at the stages that concern the caller, and
measures no sizes, so that it costs little in a large store.
"""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass

from stilts.identity.stage import SHORT
from stilts.ledger.clean import remove_from_stage
from stilts.ledger.garbage import RESUME, unneeded_parts
from stilts.ledger.needed import Needed
from stilts.ledger.needs import CLEANING, declarations
from stilts.ledger.record import stage_path, take_inventory
from stilts.plan.todo import Artifact
from stilts.storage.lease import Lease
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Corrupt, Store


@dataclass(frozen=True)
class Settled:
    """What `settle` has done.

    Attributes:
        dropped: names of the stages whose weights were removed.
        kept_because: why nothing was removed, because the needs of a declaration are not known; None if all are known.
    """

    dropped: tuple[str, ...] = ()
    kept_because: str | None = None


def settle(
    store: Store,
    experiment: str | None = None,
    stages: Collection[str] = (),
    waiting: Callable[[str], None] | None = None,
    *,
    wait: bool = True,
) -> Settled | None:
    """Remove weights and resume states that no stored declaration needs now.

    Stages that somebody works on are left alone.

    Args:
        experiment: look at the stages that the declarations of this name list.
        stages: look at the stages with these short keys, too. Of one that no declaration names, weights and resume
            states are removed.
        waiting: called with the holder of the lease while a run declares itself or a collector is at work.
        wait: wait for the lease. Otherwise None is returned if it is not free.

    Raises:
        LeaseLost: this process was paused, and another one has taken over.
        Unreachable: the store does not answer.
    """
    lease = Lease(store, CLEANING, waiting)
    with ExitStack() as stack:
        if wait:
            stack.enter_context(lease)
        elif lease.acquire():
            stack.push(lease)
        else:
            return None
        try:
            stored = declarations(store)
        except Corrupt as error:
            return Settled(kept_because=str(error))
        needs = [(declaration.name, declaration.needs) for declaration in stored if declaration.needs is not None]
        if len(needs) < len(stored):
            unlisted = next(declaration.id for declaration in stored if declaration.needs is None)
            return Settled(kept_because=f"an older stilts has declared {unlisted}, and did not list what it needs")
        needed = Needed([one for _, one in needs], lambda keys: take_inventory(store, keys))
        scope = {*stages, *(key for name, one in needs if name == experiment for key in one.stages)}
        return Settled(_drop(store, needed, scope, lease))


def _drop(store: Store, needed: Needed, scope: Collection[str], lease: Lease) -> tuple[str, ...]:
    def candidate(name: str) -> bool:
        return not {"weights", *RESUME}.isdisjoint(store.list(stage_path(name)))

    names = [name for name in store.list("stages") if name[-SHORT:] in scope]
    names = [name for name, has in zip(names, parallel_map(store, candidate, names), strict=True) if has]
    artifacts = needed.look({name[-SHORT:] for name in names})

    def parts(artifact: Artifact, name: str) -> dict[str, str]:
        found = artifact if artifact.name == name else Artifact(name)  # another folder has the same key
        unneeded = unneeded_parts(needed, name[-SHORT:], found, set(store.list(stage_path(name))))
        return {f"{stage_path(name)}/{part}": why for part, why in unneeded.items()}

    def drop(name: str) -> str | None:
        if not parts(artifacts.get(name[-SHORT:], Artifact(name)), name):
            return None
        gone = remove_from_stage(store, name, lambda artifact: parts(artifact, name), lease)
        return name if f"{stage_path(name)}/weights" in gone else None

    return tuple(filter(None, parallel_map(store, drop, names)))
