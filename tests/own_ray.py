"""Ray clusters that a test starts beside those of others on the same machine, and ends alone.

`ray stop` ends every Ray on a machine. These end the processes that carry their mark in the environment, and no other.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import ray

from tests.servers import free_port

ROOT = Path(__file__).resolve().parent.parent
RAY = str(Path(sys.executable).parent / "ray")
_MARK = "STILTS_TEST_CLUSTER"


class OwnRay:
    """A head that `ray start` starts.

    Attributes:
        folder: of its sessions; short, because Ray puts Unix sockets into it.
        address: of its control service.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stilts-ray-", dir="/tmp"))
        self.address = f"{ray.util.get_node_ip_address()}:{free_port()}"
        self._mark = uuid.uuid4().hex
        self._head: subprocess.Popen[bytes] | None = None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the head, with arguments of `ray start` and variables beside this process's; does not wait for it."""
        ports = {"port": self.address.rpartition(":")[2], "ray-client-server-port": free_port()}
        ports |= {"dashboard-agent-listen-port": 0, "min-worker-port": 0, "max-worker-port": 0}
        command = [RAY, "start", "--head", "--block", f"--temp-dir={self.folder}", *arguments]
        command += [f"--{name}={port}" for name, port in ports.items()]
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment, _MARK: self._mark}
        with (self.folder / "head.log").open("wb") as log:
            self._head = subprocess.Popen(command, env=variables, stdout=log, stderr=log)

    def processes(self, **wanted: str) -> list[psutil.Process]:
        """Those of its processes that have these variables."""
        return [process for process in psutil.process_iter() if _carries(process, {_MARK: self._mark, **wanted})]

    def close(self) -> None:
        """End all its processes, however deep, and remove its files."""
        deadline = time.monotonic() + 30
        while (left := self.processes()) and time.monotonic() < deadline:
            for process in left:
                process.kill()
            psutil.wait_procs(left, timeout=3)
        if self._head is not None:
            self._head.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not left, left


def _carries(process: psutil.Process, wanted: dict[str, str]) -> bool:
    try:
        environment = process.environ()
    except psutil.Error:
        return False
    return all(environment.get(name) == value for name, value in wanted.items())


def seconds_until(condition: Callable[[], Any], limit: float) -> float:
    """How long it took until the condition held."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < limit, f"not within {limit:g} seconds"
        time.sleep(0.1)
    return time.monotonic() - begin
