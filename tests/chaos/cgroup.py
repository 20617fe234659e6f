"""The memory of a node: a control group with a limit, which the node's raylet takes for the memory of its machine.

A raylet reads the limit and the use of memory below `/sys/fs/cgroup/memory`. Here it is started in a mount namespace
of its own in which that folder is its own control group, as it is in a container.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.chaos import disk

_ROOT = Path("/sys/fs/cgroup/memory")
_GROUP = "STILTS_CHAOS_CGROUP"
LIMIT = 4 << 30
_END_SECONDS = 60.0
THRESHOLD = 0.8
"""Share of the limit above which the raylet kills workers."""

_RAYLET = """\
#!/bin/sh
if [ -n "${group}" ]; then
    exec unshare --mount sh -c '
        echo $$ >"${group}/cgroup.procs" && mount --bind "${group}" {root} && exec {raylet} "$@"' raylet "$@"
fi
exec {raylet} "$@"
"""

_HOG = """
import pathlib, sys, time
group, most, taken = pathlib.Path(sys.argv[1]), int(sys.argv[2]), []
(group / "cgroup.procs").write_text("0")
while True:
    if int((group / "memory.usage_in_bytes").read_text()) < most:
        taken.append(b"x" * (32 << 20))
    time.sleep(0.02)
"""


@cache
def unavailable() -> str | None:
    """Why the memory of a node cannot be limited here; None if it can."""
    try:
        Group("probe").remove()
    except OSError:
        return f"it needs the right to make control groups in {_ROOT}"
    return disk.unavailable()


class Group:
    """A control group for the processes of one node."""

    def __init__(self, name: str) -> None:
        self._folder = _ROOT / f"chaos-{os.getpid()}-{name}"
        self._folder.mkdir()
        (self._folder / "memory.limit_in_bytes").write_text(str(LIMIT))

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which the raylet of a node is started (see `raylets`)."""
        return {
            _GROUP: str(self._folder),
            "RAY_memory_usage_threshold": str(THRESHOLD),
            "RAY_memory_monitor_refresh_ms": "200",
        }

    @property
    def used(self) -> int:
        """Bytes in use."""
        return int((self._folder / "memory.usage_in_bytes").read_text())

    def hog(self) -> "subprocess.Popen[bytes]":
        """Start a process in the group that takes memory until the raylet must kill workers, and no more."""
        most = int(LIMIT * (THRESHOLD + 0.1))
        return subprocess.Popen([sys.executable, "-c", _HOG, str(self._folder), str(most)])

    def remove(self) -> None:
        """Kill the processes of the group and remove it."""
        deadline = time.monotonic() + _END_SECONDS
        while True:
            for pid in (self._folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            try:
                return self._folder.rmdir()
            except OSError:  # a process is still ending
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


@contextmanager
def raylets(folder: Path) -> Iterator[None]:
    """Raylets that are started by this process enter the group in their environment, if there is one."""
    from ray._private import services

    raylet = services.RAYLET_EXECUTABLE
    script = folder / "raylet"
    script.write_text(_RAYLET.format(group=_GROUP, root=_ROOT, raylet=raylet))
    script.chmod(0o755)
    services.RAYLET_EXECUTABLE = str(script)
    try:
        yield
    finally:
        services.RAYLET_EXECUTABLE = raylet
