"""A Ray cluster of several nodes on this machine, and the processes that run in it.

The head has no CPUs, so that all trials run on the other nodes. All processes that are started here, and their
descendants, have a mark in their environment. By this mark they are found, so that no other process is ever killed.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil

from tests import servers
from tests.chaos import trace

MARK = "STILTS_CHAOS_MARK"
NODES, CPUS = 2, 2
STARTS = 3

T = TypeVar("T")

_GROUPS = """
import ray
ray.init(log_to_driver=False, logging_level="ERROR")
print("groups", *(group["state"] for group in ray.util.placement_group_table().values()))
"""


class Nodes:
    """Context manager for a running cluster whose ranks are traced (see `trace`).

    Args:
        folder: folder for the trace, the caches, and all temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self.trace = folder / "trace.jsonl"
        self.mark = uuid.uuid4().hex
        self.temporary = folder / "tmp"
        (self.temporary / "ray").mkdir(parents=True, exist_ok=True)  # Ray writes the address of the cluster there
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._set = {
            trace.FILE: str(self.trace),
            MARK: self.mark,
            "PYTHONPATH": paths,
            "TMPDIR": str(self.temporary),
            "STILTS_CACHE": str(self.temporary / "cache"),
            **servers.KEYS,
        }
        self._before = {name: os.environ.get(name) for name in self._set}

    def __enter__(self) -> "Nodes":
        from ray.cluster_utils import Cluster

        os.environ.update(self._set)
        # A short path, because Ray creates Unix sockets in it.
        self._ray_folder = tempfile.TemporaryDirectory(prefix="chaos-", dir="/tmp", ignore_cleanup_errors=True)
        # With these settings, Ray notices a lost node after some seconds instead of half a minute.
        health = {"health_check_initial_delay_ms": 2000, "health_check_period_ms": 1000}
        head = {"num_cpus": 0, "temp_dir": self._ray_folder.name, "include_dashboard": False}
        self._cluster = _in_time(
            lambda: Cluster(initialize_head=True, head_node_args={**head, "_system_config": health})
        )
        for _ in range(NODES):
            self.add()
        self.address: str = self._cluster.address
        self.environment = {**os.environ, "RAY_ADDRESS": self.address}
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.ranks() + self.trials():
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
        self._cluster.shutdown()
        for process in self.marked():  # processes of a node whose start timed out
            with contextlib.suppress(psutil.Error):
                process.kill()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._ray_folder.cleanup()

    def add(self) -> None:
        """Add a node to the cluster."""
        _in_time(lambda: self._cluster.add_node(num_cpus=CPUS))

    def lose(self, chance: random.Random) -> tuple[int, list[int]]:
        """Kill all processes of a node at once, as if its machine was lost; prefer a node with ranks.

        Returns:
            The process id of the node's raylet, and those of its other processes.
        """
        ranks = {process.pid for process in self.ranks()}
        nodes = []
        for node in sorted(self._cluster.worker_nodes, key=lambda node: node.node_id):
            [raylet] = [info.process.pid for info in node.all_processes["raylet"]]
            nodes.append((node, raylet, psutil.Process(raylet).children(recursive=True)))
        busy = [one for one in nodes if ranks & {child.pid for child in one[2]}]
        node, raylet, children = chance.choice(busy or nodes)
        for process in [psutil.Process(raylet), *children]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._cluster.remove_node(node, allow_graceful=False)
        return raylet, [child.pid for child in children]

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
        processes = [f"process {p.pid}: {' '.join(p.cmdline())[:80]}" for p in self.ranks() + self.trials()]
        groups = [f"a placement group that is {state}" for state in self.groups() if state != "REMOVED"]
        left = [*self.temporary.glob("*stilts-*"), *self.temporary.glob("cache/**/resume*")]
        files = [f"temporary: {path}" for path in left]
        return processes + groups + files


def _in_time(start: Callable[[], T]) -> T:
    """Start a node, and retry if that times out. Ray's limit of half a minute is too short on a busy machine."""
    for _ in range(STARTS):
        try:
            return start()
        except Exception as error:  # Ray raises a plain Exception for this
            if "timed out" not in str(error).lower():
                raise
    return start()
