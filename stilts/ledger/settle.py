"""Settle: remove the weights and resume states that no declaration needs now.

Every run and every search calls `settle` at its start and at its end. The result depends on the store alone: what an
interrupted run has left, the next run removes. `settle` has the rules of garbage collection (`ledger/garbage.py`) and
takes the same leases (`ledger/clean.py`), so that nobody can declare an experiment between the moment at which the
needs are read and the removal. It looks only at the stages that concern the caller and measures no sizes, so that it
costs little in a large store.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from stilts.identity.stage import SHORT
from stilts.ledger.clean import remove_from_stage
from stilts.ledger.garbage import RESUME, unneeded_parts
from stilts.ledger.needed import Needed
from stilts.ledger.needs import CLEANING, Needs, declarations
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
        kept_for: the declarations that need the weights of a stage, or may need them, by the name of each stage that
            was looked at and has weights.
    """

    dropped: tuple[str, ...] = ()
    kept_because: str | None = None
    kept_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


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
        stages: look at the stages with these short keys, too. If no declaration names such a stage, its weights and
            resume states are removed.
        waiting: called with the holder of the lease while a run declares itself or a collector is at work.
        wait: wait for the lease. If this is False and the lease is not free, None is returned.

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
        if any(declaration.needs is None for declaration in stored):
            unlisted = next(declaration.id for declaration in stored if declaration.needs is None)
            return Settled(kept_because=f"an older stilts has declared {unlisted}, and did not list what it needs")
        listed = {declaration.id: declaration.needs for declaration in stored if declaration.needs is not None}
        mine = (declaration.needs for declaration in stored if declaration.name == experiment)
        scope = {*stages, *(key for needs in mine if needs is not None for key in needs.stages)}
        names = [name for name in store.list("stages") if name[-SHORT:] in scope]
        there = zip(names, parallel_map(store, lambda name: set(store.list(stage_path(name))), names), strict=True)
        parts = {name: found for name, found in there if not found.isdisjoint({"weights", *RESUME})}
        needed = Needed(list(listed.values()), lambda keys: take_inventory(store, keys))
        dropped = _drop(store, needed, list(parts), lease)
        kept = [name for name, found in parts.items() if "weights" in found and name not in dropped]
        return Settled(dropped, kept_for={name: _needing(listed, name[-SHORT:]) for name in kept})


def _needing(listed: Mapping[str, Needs], short: str) -> tuple[str, ...]:
    """The declarations that keep the weights of a stage, or have stages that start from it or compete with it."""
    return tuple(
        id_
        for id_, needs in listed.items()
        if short in needs.stages
        and (needs.stages[short].keeps or needs.stages[short].feeds or any(short in group for group in needs.best))
    )


def _drop(store: Store, needed: Needed, names: Sequence[str], lease: Lease) -> tuple[str, ...]:
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
