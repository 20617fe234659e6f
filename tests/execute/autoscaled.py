"""A cluster of this machine's own that grows and shrinks: Ray's autoscaler over its fake provider, whose nodes are
processes.

Ray's `AutoscalingCluster` needs a file that the wheel leaves out, and its start and stop end every Ray on the machine:
this one ends the processes that carry its mark in their environment, and no other.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import ray

from tests.train.toys import free_port

_MARK = "STILTS_TEST_CLUSTER"
_NODE = "RAY_OVERRIDE_NODE_ID_FOR_TESTING"
_HEAD = "ray.head.default"
_HEAD_ID = "f" * 51 + "00000"
_PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"


class AutoscaledCluster:
    """A head without CPUs, and nodes of the given types that come when something waits for them.

    Args:
        node_types: name -> resources of one node.
        max_workers: nodes at most, of all types together.
        idle_seconds: a node without work goes after this time.
        paths: import paths of the nodes' processes.
    """

    def __init__(
        self, node_types: dict[str, dict[str, float]], max_workers: int, idle_seconds: float, paths: list[Path]
    ) -> None:
        self._mark, self._folder = uuid.uuid4().hex, Path(tempfile.mkdtemp(prefix="stilts-ray-", dir="/tmp"))
        # The address that Ray gives the head.
        self.address = f"{ray.util.get_node_ip_address()}:{free_port()}"
        workers = {
            name: {"resources": resources, "node_config": {}, "min_workers": 0, "max_workers": max_workers}
            for name, resources in node_types.items()
        }
        provider = {"type": "external", "module": _PROVIDER, "gcs_address": self.address, "head_node_id": _HEAD_ID}
        config = {
            "cluster_name": "fake",
            "max_workers": max_workers,
            "upscaling_speed": 100.0,
            "idle_timeout_minutes": idle_seconds / 60,
            "provider": {**provider, "launch_multiple": True},
            "available_node_types": {
                **workers,
                _HEAD: {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0},
            },
            "head_node_type": _HEAD,
            "auth": {},
            "docker": {},
            "file_mounts": {},
            "cluster_synced_files": [],
            **{f"{when}setup_commands": [] for when in ("", "head_", "worker_")},
            **{f"{who}_start_ray_commands": [] for who in ("head", "worker")},
            "initialization_commands": [],
        }
        file = self._folder / "cluster.json"
        file.write_text(json.dumps(config))
        command = ["ray", "start", "--head", "--block", f"--port={self.address.rpartition(':')[2]}", "--num-cpus=0"]
        command += [f"--autoscaling-config={file}", f"--temp-dir={self._folder}", "--include-dashboard=false"]
        command += ["--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0"]
        environment = {
            **os.environ,
            _MARK: self._mark,
            _NODE: _HEAD_ID,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            # The second version of the autoscaler, as `ray up` starts it.
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": _HEAD_ID,
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        }
        with (self._folder / "head.log").open("wb") as log:
            self._head = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def connect(self) -> None:
        """Connect this process to the cluster as soon as it is there."""
        deadline = time.monotonic() + 60
        while True:
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level="CRITICAL")
                return
            except (ConnectionError, RuntimeError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def nodes(self) -> dict[str, dict[str, Any]]:
        """The nodes that are alive, without the head, by their ids; the caller is connected to the cluster."""
        return {node["NodeID"]: node for node in ray.nodes() if node["Alive"] and node["NodeID"] != _HEAD_ID}

    def working(self) -> list[str]:
        """The ids of the nodes on which a rank runs."""
        return [node for node in self.nodes() if any("Rank" in _title(p) for p in self._processes({_NODE: node}))]

    def kill(self, node: str) -> None:
        """SIGKILL to every process of a node at once, as when the machine is switched off."""
        for process in self._processes({_NODE: node}):
            process.kill()

    def _processes(self, wanted: dict[str, str]) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _carries(process, {_MARK: self._mark, **wanted})]

    def close(self) -> None:
        """End all processes of the cluster, however deep, and remove its files."""
        self._head.terminate()
        deadline = time.monotonic() + 30
        while (left := self._processes({})) and time.monotonic() < deadline:
            for process in left:
                process.kill()
            psutil.wait_procs(left, timeout=3)
        self._head.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        assert not left, left


def _carries(process: psutil.Process, wanted: dict[str, str]) -> bool:
    try:
        environment = process.environ()
    except psutil.Error:
        return False
    return all(environment.get(name) == value for name, value in wanted.items())


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def seconds_until(condition: Callable[[], Any], limit: float) -> float:
    """How long it took until the condition held."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < limit, f"not within {limit:g} seconds"
        time.sleep(0.1)
    return time.monotonic() - begin
