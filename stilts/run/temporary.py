"""Temporary folders that a killed process does not leave for ever: they may hold the weights of a model.

A process holds a lock on its folder for as long as it lives. Whoever makes a folder, or is done with one, removes those
of the same user that nobody holds any more. A folder has its name only once it is locked: one that is being made is
never taken for one that was left.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "stilts-work-"
_UNLOCKED = ".stilts-work-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of this process, gone afterwards."""
    fresh = Path(tempfile.mkdtemp(prefix=_UNLOCKED))
    folder = fresh.with_name(_PREFIX + fresh.name.removeprefix(_UNLOCKED))
    lock = os.open(fresh, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fresh.rename(folder)
        _remove_abandoned(folder.parent)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        _remove_abandoned(folder.parent)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # held, another user's, or removed by another one
            lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid != os.getuid():
                    continue
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
