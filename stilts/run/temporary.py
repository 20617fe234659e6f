"""Temporary folders that are removed even if their process was killed: they may contain the weights of a model.

A process holds a lock (flock) on its folder while it lives. Whoever makes a folder or has finished with one removes the
folders of the same user that are not locked. A folder gets its final name after it was locked, so that a new folder is
never taken for an orphaned one. (filelock locks files that it makes itself, not folders.)
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stilts.os_errors import TEMPORARY, explained

_PREFIX = "stilts-work-"
_UNLOCKED = ".stilts-work-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a temporary folder, and remove it at the end.

    Raises:
        StiltsError: no folder can be made where TMPDIR says.
    """
    with explained("write", Path(os.environ.get("TMPDIR") or tempfile.gettempdir()), what=TEMPORARY):
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
        with contextlib.suppress(OSError):  # locked, of another user, or already removed
            lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid != os.getuid():
                    continue
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
