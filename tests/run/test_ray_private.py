"""The contract with the private parts of Ray: each name that stilts uses is there and takes what it is called with."""

import ast
import importlib
import inspect
import os
import re
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._private import ray_constants

from stilts.run import ray_private

ROOT = Path(ray_private.__file__).parents[1]
MANAGER = "ray.air.execution._internal.actor_manager:RayActorManager"
CONTROLLER = "ray.tune.execution.tune_controller:TuneController"

NAMES = {
    "_clusters_disabled": [
        "ray._private.ray_constants:ENABLE_RAY_CLUSTER",
        "ray._private.ray_constants:ENABLE_RAY_CLUSTERS_ENV_VAR",
    ],
    "kill_local": [
        "ray._private.worker:_global_node",
        "ray._private.node:Node.is_head",
        "ray._private.node:Node.kill_all_processes",
    ],
    "draining_nodes": ["ray._private.state:state.get_draining_nodes"],
    "ClusterClient": [
        "ray._raylet:GcsClient",
        "ray._private.services:canonicalize_bootstrap_address",
        "ray._raylet:InnerGcsClient.get_all_node_info",
        "ray._raylet:InnerGcsClient.drain_node",
        "ray._raylet:InnerGcsClient.get_cluster_status",
        "ray.core.generated.gcs_pb2:GcsNodeInfo.ALIVE",
        "ray.core.generated.autoscaler_pb2:GetClusterStatusReply.FromString",
    ],
    "release_idle_actors": [f"{CONTROLLER}._cleanup_cached_actors"],
    "has_idle_actor": ["ray.tune.utils.object_cache:_ObjectCache.num_cached_objects"],
    "unfinished_trials": [f"{CONTROLLER}.get_live_trials", "ray.tune.experiment:Trial.is_finished"],
    "losses_end_trials": [f"{MANAGER}._actor_task_failed", f"{MANAGER}._actor_start_failed"],
    "waits_for_stages_are_short": [f"{CONTROLLER}._update_trial_queue"],
    "end_trial": [
        f"{CONTROLLER}._schedule_trial_stop",
        "ray.tune.experiment:Trial.init_local_path",
        "ray.tune.search.search_algorithm:SearchAlgorithm.on_trial_complete",
    ],
}
"""Names of Ray, by the function of `ray_private` that uses them."""

ARGUMENTS = {
    "start_local": ("ray:init", ["_node_ip_address", "include_dashboard", "kwargs"]),
    "release_idle_actors": (f"{CONTROLLER}._cleanup_cached_actors", ["force_all"]),
    "kill_local": ("ray._private.node:Node.kill_all_processes", ["check_alive", "allow_graceful"]),
    "waits_for_stages_are_short": (f"{CONTROLLER}._update_trial_queue", ["self", "blocking", "timeout"]),
    "losses_end_trials": (f"{MANAGER}._actor_task_failed", ["self", "tracked_actor_task", "exception"]),
    "is_autoscaled": ("ray.autoscaler.v2.utils:is_autoscaler_v2", ["fetch_from_server"]),
}

SET_IN_INIT = {
    "has_idle_actor": (CONTROLLER, "_actor_cache"),
    "end_trial": (CONTROLLER, "_search_alg"),
    "controller_of": ("ray.tune.execution.tune_controller:TrialRunnerWrapper", "_tune_controller"),
    "actor_of": ("ray.tune.experiment.trial:_TemporaryTrialState", "ray_actor"),
}
"""Attributes that a class of Ray sets when it is made."""

FIELDS = {
    "ray.core.generated.autoscaler_pb2:ClusterResourceState": [
        "cluster_resource_state_version",
        "pending_gang_resource_requests",
    ],
    "ray.core.generated.autoscaler_pb2:AutoscalingState": [
        "last_seen_cluster_resource_state_version",
        "infeasible_gang_resource_requests",
    ],
    "ray.core.generated.autoscaler_pb2:GetClusterStatusReply": ["cluster_resource_state", "autoscaling_state"],
    "ray.core.generated.gcs_pb2:GcsNodeInfo": ["state", "node_manager_address"],
}
"""Fields of Ray's messages."""


def changed(function: str, name: str) -> str:
    return f"Ray {ray.__version__} has no {name}: adapt {function} in stilts/run/ray_private.py"


def find(function: str, dotted: str) -> Any:
    module, _, names = dotted.partition(":")
    try:
        found = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError):
        pytest.fail(changed(function, dotted))
    return found


@pytest.mark.parametrize(("function", "names"), NAMES.items())
def test_names_are_there(function: str, names: list[str]) -> None:
    assert hasattr(ray_private, function)
    for name in names:
        find(function, name)


@pytest.mark.parametrize(("function", "called"), ARGUMENTS.items())
def test_functions_take_the_arguments_that_they_get(function: str, called: tuple[str, list[str]]) -> None:
    name, arguments = called
    taken = inspect.signature(find(function, name)).parameters
    for argument in arguments:
        assert argument in taken or "kwargs" in taken, changed(function, f"argument {argument} of {name}")


@pytest.mark.parametrize(("function", "attribute"), SET_IN_INIT.items())
def test_attributes_are_set_when_an_object_is_made(function: str, attribute: tuple[str, str]) -> None:
    owner, name = attribute
    assert name in find(function, owner).__init__.__code__.co_names, changed(function, f"{owner}.{name}")


@pytest.mark.parametrize(("message", "fields"), FIELDS.items())
def test_messages_have_the_fields_that_are_read(message: str, fields: list[str]) -> None:
    there = find("ClusterClient or GroupDemand", message).DESCRIPTOR.fields_by_name
    for field in fields:
        assert field in there, changed("ClusterClient or GroupDemand", f"{message}.{field}")


def test_reasons_of_preemption_have_their_names() -> None:
    reasons = find("drain_node", "ray.core.generated.autoscaler_pb2:DrainNodeReason")
    assert "DRAIN_NODE_REASON_PREEMPTION" in reasons.keys(), changed("drain_node", "reason PREEMPTION")  # noqa: SIM118
    deaths = find("was_preempted", "ray.core.generated.common_pb2:NodeDeathInfo.Reason")
    assert "AUTOSCALER_DRAIN_PREEMPTED" in deaths.keys(), changed("was_preempted", "the reason")  # noqa: SIM118
    # `ray.nodes()` gives the number, not the name.
    dead = {"Alive": False, "DeathReason": deaths.Value("AUTOSCALER_DRAIN_PREEMPTED")}
    assert ray_private.was_preempted(dead)
    assert not ray_private.was_preempted({**dead, "DeathReason": deaths.Value("UNEXPECTED_TERMINATION")})
    assert not ray_private.was_preempted({"Alive": True})


def test_the_flag_of_local_clusters_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    variable = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    monkeypatch.delenv(variable, raising=False)
    before = ray_constants.ENABLE_RAY_CLUSTER
    with ray_private._clusters_disabled():
        assert ray_constants.ENABLE_RAY_CLUSTER is False
        assert os.environ[variable] == "0"
    assert before is ray_constants.ENABLE_RAY_CLUSTER
    assert variable not in os.environ


# --- nobody else -------------------------------------------------------------------------------------------

PRIVATE_MODULES = ("ray._", "ray.autoscaler", "ray.core")
PRIVATE_ATTRIBUTES = {
    "_actor_cache",
    "_cleanup_cached_actors",
    "_schedule_trial_stop",
    "_search_alg",
    "_tune_controller",
    "temporary_state",
}


def private_names(source: str) -> set[str]:
    """Private names of Ray in a source text."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            names = {node.attr} & PRIVATE_ATTRIBUTES
            dotted = ast.unparse(node)
            found |= names | ({dotted} if re.fullmatch(r"ray\.(_\w+|autoscaler|core)", dotted) else set())
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith(PRIVATE_MODULES)}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if name.startswith(PRIVATE_MODULES)}
    return found


def test_private_names_are_found() -> None:
    assert private_names("from ray import _raylet") == {"ray._raylet"}
    assert private_names("import ray\nray._private.state.state.get_draining_nodes()") == {"ray._private"}
    assert private_names("from ray.core.generated import gcs_pb2") == {"ray.core.generated.gcs_pb2"}


def test_no_other_module_uses_private_names() -> None:
    modules = {path.relative_to(ROOT): private_names(path.read_text()) for path in ROOT.rglob("*.py")}
    assert {path: names for path, names in modules.items() if names}.keys() == {Path("run/ray_private.py")}
