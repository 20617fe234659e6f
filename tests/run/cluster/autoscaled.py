"""A cluster of this machine's own that grows and shrinks: Ray's autoscaler over its fake provider, whose nodes are
processes. Ray's own `AutoscalingCluster` needs a file that the wheel leaves out, and ends every Ray on the machine.
"""

import json
import time
from typing import Any

import psutil
import ray

from tests.own_ray import OwnRay

_NODE = "RAY_OVERRIDE_NODE_ID_FOR_TESTING"
_HEAD = "ray.head.default"
_HEAD_ID = "f" * 51 + "00000"
_PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"


class AutoscaledCluster(OwnRay):
    """A head without CPUs, and nodes of the given types that come when something waits for them.

    Args:
        node_types: name -> resources of one node.
        max_workers: nodes at most, of all types together.
        idle_seconds: a node without work goes after this time.
    """

    def __init__(self, node_types: dict[str, dict[str, float]], max_workers: int, idle_seconds: float) -> None:
        super().__init__()
        workers = {
            name: {"resources": resources, "node_config": {}, "min_workers": 0, "max_workers": max_workers}
            for name, resources in node_types.items()
        }
        head = {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0}
        provider = {"type": "external", "module": _PROVIDER, "gcs_address": self.address, "head_node_id": _HEAD_ID}
        config = {
            "cluster_name": "fake",
            "max_workers": max_workers,
            "upscaling_speed": 100.0,
            "idle_timeout_minutes": idle_seconds / 60,
            "provider": {**provider, "launch_multiple": True},
            "available_node_types": {**workers, _HEAD: head},
            "head_node_type": _HEAD,
            "auth": {},
            "docker": {},
            "file_mounts": {},
            "cluster_synced_files": [],
            **{f"{when}setup_commands": [] for when in ("", "head_", "worker_")},
            **{f"{who}_start_ray_commands": [] for who in ("head", "worker")},
            "initialization_commands": [],
        }
        file = self.folder / "cluster.json"
        file.write_text(json.dumps(config))
        arguments = ["--num-cpus=0", f"--autoscaling-config={file}", "--include-dashboard=false"]
        environment = {
            _NODE: _HEAD_ID,
            # The second version of the autoscaler, as `ray up` starts it.
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": _HEAD_ID,
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        }
        self.start(arguments, environment)

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
        return [node for node in self.nodes() if any("Rank" in _title(p) for p in self.processes(**{_NODE: node}))]

    def kill(self, node: str) -> None:
        """SIGKILL to every process of a node at once, as when the machine is switched off."""
        for process in self.processes(**{_NODE: node}):
            process.kill()


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
