"""A Ray cluster of several nodes on this machine, and the processes that run in it.

The head has no CPUs, so that all trials run on the other nodes. All processes that are started here, and their
descendants, have a mark in their environment. By this mark they are found, so that no other process is ever killed.

Where this machine permits it, each other node has a limit of memory (`cgroup`), and temporary files and caches lie on a
disk of their own (`disk`).
"""

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tests import servers
from tests.chaos import cgroup, disk, trace
from tests.chaos.disk import Disk

MARK = "STILTS_CHAOS_MARK"
CLOCK = "STILTS_CHAOS_CLOCK"
NODES, CPUS = 2, 2
STARTS = 3
DISK_MEGABYTES = 512
ROOT = Path(__file__).resolve().parents[2]

SETTINGS = {
    # A lost node is noticed after some seconds instead of half a minute.
    "health_check_initial_delay_ms": 2000,
    "health_check_period_ms": 1000,
    # So is a lost GCS server.
    "gcs_rpc_server_reconnect_timeout_s": 10,
}
"""Settings of Ray, which make it notice losses soon."""

KNOWN = ("cache", "ray", "filler", "torchinductor_*", "cc??????.*")
"""What may stay in the folder for temporary files. The last are a C compiler's, with which DeepSpeed tries what the
machine can do; a process that is killed meanwhile leaves them."""

T = TypeVar("T")

_GROUPS = """
import ray
ray.init(log_to_driver=False, logging_level="ERROR")
print("groups", *(group["state"] for group in ray.util.placement_group_table().values()))
"""


def clock_environment(clock: str) -> dict[str, str]:
    """Environment variables for a driver or node with another clock (see `clock/sitecustomize.py`)."""
    return {CLOCK: clock, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "clock"), _python_path()])}


def _python_path() -> str:
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


class Nodes:
    """Context manager for a running cluster whose ranks are traced (see `trace`).

    Args:
        folder: folder for the trace, the caches, and all temporary files.

    Attributes:
        environment: of drivers.
        disk: the disk of the temporary files and caches, if it is one of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.trace = folder / "trace.jsonl"
        self.mark = uuid.uuid4().hex
        self.temporary = folder / "tmp"
        self.disk: Disk | None = None
        self._set = {
            trace.FILE: str(self.trace),
            MARK: self.mark,
            "RAY_worker_niceness": "0",  # Ray's 15 would let other programs of the machine starve them
            "PYTHONPATH": _python_path(),
            "TMPDIR": str(self.temporary),
            "STILTS_CACHE": str(self.temporary / "cache"),
            **servers.KEYS,
        }
        self._before = {name: os.environ.get(name) for name in self._set}
        self._groups: dict[Any, cgroup.Group] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "Nodes":
        if not disk.unavailable():
            self.disk = self._open.enter_context(Disk(self.temporary, DISK_MEGABYTES))
        (self.temporary / "ray").mkdir(parents=True, exist_ok=True)  # Ray writes the address of the cluster there
        os.environ.update(self._set)
        # A short path, because Ray creates Unix sockets in it.
        short = tempfile.TemporaryDirectory(prefix="chaos-", dir="/tmp", ignore_cleanup_errors=True)
        self._ray_folder = self._open.enter_context(short)
        if not cgroup.unavailable():
            self._open.enter_context(cgroup.raylets(Path(self._ray_folder)))
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._open:
            for name, value in self._before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            self._end()

    def _start(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "temp_dir": self._ray_folder, "include_dashboard": False, "_system_config": SETTINGS}
        self._cluster = _in_time(lambda: Cluster(initialize_head=True, head_node_args=head))
        for _ in range(NODES):
            self.add()
        self.environment = {**os.environ, "RAY_ADDRESS": self._cluster.address}

    def _end(self) -> None:
        for process in self.marked():
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(Exception):  # not all of its processes are there any more
            self._cluster.shutdown()
        for group in self._groups.values():
            group.remove()
        self._groups.clear()

    def kill_gcs(self) -> int:
        """Kill the GCS server; return its process id."""
        [server] = [info.process for info in self._cluster.head_node.all_processes["gcs_server"]]
        server.kill()
        return int(server.pid)

    def restart(self) -> None:
        """End all processes of the cluster and start a new one, at another address."""
        self._end()
        self._start()

    def add(self, environment: Mapping[str, str] | None = None) -> None:
        """Add a node to the cluster, with additional environment variables."""
        group = None if cgroup.unavailable() else cgroup.Group(uuid.uuid4().hex[:8])
        limits = {} if group is None else group.environment
        node = _in_time(lambda: self._cluster.add_node(num_cpus=CPUS, env_vars={**limits, **(environment or {})}))
        if group is not None:
            self._groups[node] = group

    def groups_of_ranks(self) -> list[tuple[cgroup.Group, set[int]]]:
        """The memory of each node on which ranks run, and the process ids of these ranks."""
        ranks = {process.pid for process in self.ranks()}
        found = [(self._groups[node], ranks & {child.pid for child in below}) for node, _, below in self._nodes()]
        return [(group, pids) for group, pids in found if pids]

    def lose(self, chance: random.Random) -> tuple[int, list[int]]:
        """Kill all processes of a node at once, as if its machine was lost; prefer a node with ranks.

        Returns:
            The process id of the node's raylet, and those of its other processes.
        """
        ranks = {process.pid for process in self.ranks()}
        nodes = self._nodes()
        busy = [one for one in nodes if ranks & {child.pid for child in one[2]}]
        node, raylet, children = chance.choice(busy or nodes)
        for process in [psutil.Process(raylet), *children]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._cluster.remove_node(node, allow_graceful=False)
        if node in self._groups:
            self._groups.pop(node).remove()
        return raylet, [child.pid for child in children]

    def _nodes(self) -> list[tuple[Any, int, list[psutil.Process]]]:
        """The nodes but the head, with the process id of the raylet of each and the raylet's descendants."""
        nodes = []
        for node in sorted(self._cluster.worker_nodes, key=lambda node: node.node_id):
            [raylet] = [info.process.pid for info in node.all_processes["raylet"]]
            nodes.append((node, raylet, psutil.Process(raylet).children(recursive=True)))
        return nodes

    def marked(self) -> Iterator[psutil.Process]:
        """All living processes with the mark, except this one."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get(MARK) == self.mark and process.pid != os.getpid()
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def ranks(self) -> list[psutil.Process]:
        """The rank processes."""
        return self._titled("ray::Rank")

    def trials(self) -> list[psutil.Process]:
        """The processes of the trials."""
        return self._titled("ray::ResourceTrainable", "ray::StageTrial")  # the first is the name of Tune's wrapper

    def _titled(self, *titles: str) -> list[psutil.Process]:
        found = []
        for process in self.marked():
            with contextlib.suppress(psutil.Error):
                if " ".join(process.cmdline()).startswith(titles):
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)

    def groups(self) -> list[str]:
        """The states of all placement groups, including removed ones."""
        asked = subprocess.run(
            [sys.executable, "-c", _GROUPS], env=self.environment, capture_output=True, text=True, check=True
        )
        [printed] = [line for line in asked.stdout.splitlines() if line.startswith("groups")]
        return printed.split()[1:]

    def leftovers(self, seconds: float = 30.0) -> list[str]:
        """Processes, placement groups and temporary files that still exist after all drivers have ended.

        Args:
            seconds: time that they have to disappear.
        """
        deadline = time.monotonic() + seconds
        while (found := self._leftovers()) and time.monotonic() < deadline:
            time.sleep(1)
        return found

    def _leftovers(self) -> list[str]:
        processes = [f"process {p.pid}: {' '.join(p.cmdline())[:80]}" for p in self._leaked()]
        groups = [f"a placement group that is {state}" for state in self.groups() if state != "REMOVED"]
        return processes + groups + [f"temporary: {path}" for path in leaked_files(self.temporary)]

    def _leaked(self) -> list[psutil.Process]:
        """Marked processes that do not belong to the cluster, and ranks and trials."""
        cluster = [self._cluster.head_node, *self._cluster.worker_nodes]
        roots = [info.process.pid for node in cluster for infos in node.all_processes.values() for info in infos]
        ours = set(roots)
        for root in roots:
            with contextlib.suppress(psutil.Error):
                ours |= {child.pid for child in psutil.Process(root).children(recursive=True)}
        stray = [process for process in self.marked() if process.pid not in ours]
        return [*stray, *self.ranks(), *self.trials()]


def leaked_files(temporary: Path) -> list[str]:
    """What does not belong into a folder for temporary files once all drivers have ended."""
    top = [path for path in temporary.iterdir() if not any(path.match(known) for known in KNOWN)]
    top = [path for path in top if not any(path.glob("**/*.c"))]  # a trial of DeepSpeed's compiler
    return [str(path) for path in (*top, *temporary.glob("cache/**/resume*"), *temporary.glob("cache/**/.aside*"))]


def _in_time(start: Callable[[], T]) -> T:
    """Start a node, and retry if that times out. Ray's limit of half a minute is too short on a busy machine."""
    for _ in range(STARTS):
        try:
            return start()
        except Exception as error:  # Ray raises a plain Exception for this
            if "timed out" not in str(error).lower():
                raise
    return start()
