"""A small disk of its own, which can be filled and made read-only: a tmpfs that is mounted on a folder.

It must be mounted before the nodes are started, which do not see later mounts (see `cgroup`).
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

_PATIENCE_SECONDS = 10.0


@cache
def unavailable() -> str | None:
    """Why no disk can be mounted here; None if it can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Disk(Path(folder), 1):
                return None
        except (OSError, subprocess.CalledProcessError):
            return "it needs the right to mount a tmpfs"


class Disk:
    """Context manager: a tmpfs of some megabytes on a folder, which is made if it does not exist."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._folder, self._megabytes = folder, megabytes
        self._filler = folder / "filler"

    def __enter__(self) -> "Disk":
        self._folder.mkdir(parents=True, exist_ok=True)
        _call("mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "chaos", str(self._folder))
        return self

    def __exit__(self, *error: object) -> None:
        _call("umount", "--lazy", str(self._folder))

    def fill(self) -> None:
        """Use up all free space."""
        with self._filler.open("wb") as filler, contextlib.suppress(OSError):
            while free := shutil.disk_usage(self._folder).free:
                os.posix_fallocate(filler.fileno(), filler.seek(0, os.SEEK_END), free)
                filler.seek(0, os.SEEK_END)

    def empty(self) -> None:
        """Free the space that `fill` took."""
        self._filler.unlink(missing_ok=True)

    def read_only(self) -> None:
        """Make the file system read-only, as soon as no file on it is open for writing."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return _call("mount", "-o", "remount,ro", str(self._folder))
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def writable(self) -> None:
        """Make the file system writable again."""
        _call("mount", "-o", "remount,rw", str(self._folder))


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
