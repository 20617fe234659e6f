"""Check that the disks which a run writes to have room for it."""

import os
import shutil
import tempfile
from pathlib import Path

from stilts.errors import StiltsError, counted, sized
from stilts.plan.cost.disk import DiskNeed
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store


def check_room(need: DiskNeed, store: Store, trials: int) -> None:
    """Check the disk of a local store, and those of the cache and the temporary folder where this machine uses them.

    Needs that meet on one file system are added up.

    Args:
        trials: number of trials that run at the same time, for the message.

    Raises:
        StiltsError: too little is free.
    """
    here = "RAY_ADDRESS" not in os.environ
    local = isinstance(store, LocalStore)
    wanted: list[tuple[Path, int, str]] = []
    if local:
        wanted.append((store.scratch("."), need.peak, "the store"))
    elif here:
        wanted.append((store.scratch("."), need.scratch, "the cache of this machine (STILTS_CACHE)"))
    if here:
        wanted.append((Path(tempfile.gettempdir()), need.staged, "the temporary folder (TMPDIR)"))
    disks: dict[int, list[tuple[Path, int, str]]] = {}
    for folder, size, what in wanted:
        disks.setdefault(folder.stat().st_dev, []).append((folder, size, what))
    for parts in disks.values():
        folder, total = parts[0][0], sum(size for _, size, _ in parts)
        free = shutil.disk_usage(folder).free
        if total > free:
            what = " and ".join(f"{name} at {path}" for path, _, name in parts)
            raise StiltsError(
                f"the disk of {what} has {sized(free)} free, and this run needs up to "
                f"{sized(total)} there with {counted(trials, 'trial')} at the same time; free some space, lower "
                f"runtime.max_parallel, {_remedies(parts, local)}"
            )


def _remedies(parts: list[tuple[Path, int, str]], local: bool) -> str:
    names = " ".join(name for _, _, name in parts)
    found = ["set runtime.keep: none", "move the store"] if local and "store" in names else []
    found += ["set STILTS_CACHE to a folder on a larger disk"] if "STILTS_CACHE" in names else []
    found += ["set TMPDIR to a folder on a larger disk"] if "TMPDIR" in names else []
    return " or ".join(found)
