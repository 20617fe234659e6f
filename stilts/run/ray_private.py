"""Everything of Ray's that stilts uses and that Ray does not declare public: this module is the only one that uses it.

No public call tells which nodes are draining, drains a node, tells what the autoscaler can start, keeps a local cluster
on the loopback interface, or hands back the process that Tune keeps for reuse. Each function below does one of these.
tests/run/test_ray_private.py checks that every name is still there and is called as Ray expects, and says which
function must change when a release of Ray changes one.
"""

import os
import secrets
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import _raylet
from ray._private import ray_constants, services, utils, worker
from ray._private.state import state
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.core.generated import autoscaler_pb2, common_pb2, gcs_pb2
from ray.exceptions import RayActorError, RayError, RayTaskError

if TYPE_CHECKING:  # importing it takes a second, which `drain_node.py` can do without
    from ray.tune.experiment import Trial

RPC_SECONDS = 10.0
STATUS_SECONDS = 60.0

JOB_FOLDER = "_ray_pkg_"
"""Name that Ray gives to the folders in which a submitted job finds its copy of the working directory."""

# --- a local cluster ---------------------------------------------------------------------------------------


def start_local(**options: Any) -> None:
    """Start a local cluster that listens on 127.0.0.1 only, as it does by default on macOS and Windows.

    On Linux, Ray takes 127.0.0.1 for a mistake, replaces it by the machine's own address, and listens on every
    interface. The flag that it consults is set while the cluster starts. Takes what `ray.init` takes.
    """
    _provide_token()
    with _clusters_disabled():
        ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **options)


def _provide_token() -> None:
    """Give the cluster a token by the environment if Ray cannot keep one in the home folder, as it does by default."""
    folder = Path("~/.ray").expanduser()
    if {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys() or (folder / "auth_token").is_file():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def kill_local() -> None:
    """Kill the processes of the local cluster that this process has started; does nothing if it has started none.

    `ray.shutdown` does the same, but may wait for a cluster that does not answer.
    """
    node = worker._global_node
    if node is not None and node.is_head():
        node.kill_all_processes(check_alive=False, allow_graceful=False)


@contextmanager
def _clusters_disabled() -> Iterator[None]:
    variable = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    flag, value = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(variable)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[variable] = False, "0"
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = flag
        if value is None:
            del os.environ[variable]
        else:
            os.environ[variable] = value


@contextmanager
def signals_kept() -> Iterator[None]:
    """Keep the process's own handler of SIGTERM while Ray starts or connects.

    Ray replaces it by one that ends the process at once, with exit status 15 and without a message. A process that has
    no handler of its own gets Ray's.
    """
    before = utils.set_sigterm_handler
    if callable(signal.getsignal(signal.SIGTERM)):
        utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


def bootstrap_address(address: str) -> str | None:
    """`HOST:PORT` of the control service (GCS) that an address means; None for `auto` where no Ray runs.

    Raises:
        ValueError: the address has no form that Ray knows.
    """
    found = services.canonicalize_bootstrap_address(address)
    return None if found is None else str(found)


# --- nodes -------------------------------------------------------------------------------------------------


def draining_nodes() -> set[str]:
    """Ids of the nodes that are alive and draining, of the cluster that this process is connected to."""
    return set(state.get_draining_nodes())


def was_preempted(node: Mapping[str, Any]) -> bool:
    """Whether a node, as `ray.nodes` describes it, is dead because it was drained for preemption."""
    preempted = common_pb2.NodeDeathInfo.Reason.Value("AUTOSCALER_DRAIN_PREEMPTED")  # type: ignore[attr-defined]
    return not node["Alive"] and node["DeathReason"] == preempted


def belongs_to_job(group: str, job: str) -> bool:
    """Whether a placement group was made by a job: its id ends in the id of the job."""
    return group.endswith(job)


class ClusterClient:
    """Talks to the control service (GCS) of a cluster without connecting to it as a driver.

    Args:
        address: of the cluster; `auto` for the one that this machine belongs to.

    Raises:
        ConnectionError: no cluster runs on this machine.
    """

    def __init__(self, address: str) -> None:
        found = bootstrap_address(address)
        if found is None:
            raise ConnectionError("no Ray runs on this machine")
        self._client = _raylet.GcsClient(address=found)  # type: ignore[attr-defined]  # compiled

    def living_nodes(self) -> dict[str, str]:
        """Addresses of the nodes that are alive, by node id."""
        alive = gcs_pb2.GcsNodeInfo.ALIVE  # type: ignore[attr-defined]  # made when imported
        nodes = self._client.get_all_node_info(timeout=RPC_SECONDS).items()
        return {node.hex(): info.node_manager_address for node, info in nodes if info.state == alive}

    def drain_node(self, node: str, reason: str, seconds: float | None) -> str | None:
        """Mark a node as draining because of a preemption. Nothing new is placed on it.

        Args:
            seconds: until the node goes; None if this is not known.

        Returns:
            None if Ray accepts, or else its reason for the refusal.
        """
        deadline = 0 if seconds is None else int((time.time() + seconds) * 1000)
        kind = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")  # type: ignore[attr-defined]
        accepted, why = self._client.drain_node(node, kind, reason, deadline, timeout=RPC_SECONDS)
        return None if accepted else str(why)

    def status(self) -> Any:
        """State of the cluster and of its autoscaler: a `GetClusterStatusReply`."""
        reply = autoscaler_pb2.GetClusterStatusReply  # type: ignore[attr-defined]  # generated
        return reply.FromString(self._client.get_cluster_status(timeout_s=STATUS_SECONDS))


# --- the autoscaler ----------------------------------------------------------------------------------------


def is_autoscaled() -> bool:
    """Whether the cluster that this process is connected to has an autoscaler (its second version)."""
    # By default Ray remembers the answer for the first cluster that this process was connected to.
    return bool(is_autoscaler_v2(fetch_from_server=True))


class GroupDemand:
    """What the autoscaler says about a placement group that waits for resources.

    Args:
        group: id of the group, in hex.
    """

    def __init__(self, group: str) -> None:
        self._group = group
        self._client = ClusterClient(ray.get_runtime_context().gcs_address)
        self._seen_at: int | None = None

    def met(self) -> bool | None:
        """Whether the demand can be met; None while the autoscaler has not answered."""
        reply = self._client.status()
        state, answer = reply.cluster_resource_state, reply.autoscaling_state
        waits = self._is_in(state.pending_gang_resource_requests)
        if self._seen_at is None:
            if waits:
                self._seen_at = state.cluster_resource_state_version
            return None
        if not waits:
            return True  # it has been placed
        if answer.last_seen_cluster_resource_state_version > self._seen_at:
            return not self._is_in(answer.infeasible_gang_resource_requests)
        return None

    def _is_in(self, requests: Any) -> bool:
        return any(self._group in str(request) for request in requests)


# --- Tune's controller and trials --------------------------------------------------------------------------


def controller_of(wrapper: Any) -> Any:
    """The controller behind the restricted view of it that Tune hands to a scheduler."""
    return wrapper._tune_controller


def actor_of(trial: "Trial") -> Any | None:
    """Handle of the actor that runs a trial; None if it has none."""
    return trial.temporary_state.ray_actor


def has_idle_actor(controller: Any) -> bool:
    """Whether Tune keeps an actor without a trial, to be reused by the next one."""
    return bool(controller._actor_cache.num_cached_objects)


def release_idle_actors(controller: Any) -> None:
    """Stop the actors that Tune keeps for reuse, and give their resources back."""
    controller._cleanup_cached_actors(force_all=True)


def unfinished_trials(controller: Any) -> "list[Trial]":
    """Trials that have been created and have not ended."""
    return [trial for trial in controller.get_live_trials() if not trial.is_finished()]


def end_trial(controller: Any, trial: "Trial") -> None:
    """End a trial at once, as Tune's own `stop_trial` does, which prints to standard output."""
    trial.init_local_path()  # otherwise Tune cannot list the results of a trial that never started
    controller._search_alg.on_trial_complete(trial.trial_id)
    controller._schedule_trial_stop(trial)


@contextmanager
def losses_end_trials() -> Iterator[None]:
    """Context in which the loss of a trial's process ends that trial and not the run, whatever Ray calls the loss.

    Tune expects only a `RayActorError` from a trial's process, or an error that it has raised itself. For every other
    class, such as `OutOfMemoryError` from Ray's memory monitor, it ends the whole run with a `RuntimeError`, or keeps
    only the text of the error.
    """
    from ray.air.execution._internal.actor_manager import RayActorManager

    task_failed, start_failed = RayActorManager._actor_task_failed, RayActorManager._actor_start_failed

    def on_task(manager: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        task_failed(manager, tracked_actor_task, _as_lost_actor(exception))

    def on_start(manager: RayActorManager, tracked_actor: Any, exception: Exception) -> None:
        start_failed(manager, tracked_actor, _as_lost_actor(exception))

    RayActorManager._actor_task_failed = on_task  # type: ignore[method-assign,assignment]
    RayActorManager._actor_start_failed = on_start  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = task_failed  # type: ignore[method-assign]
        RayActorManager._actor_start_failed = start_failed  # type: ignore[method-assign]


@contextmanager
def waits_for_stages_are_short() -> Iterator[None]:
    """Context in which Tune goes on with its loop, each second, while no trial runs and the searcher offers none.

    Otherwise it asks only the searcher, for up to 10 minutes. Meanwhile the run could not be stopped, an idle gang
    would keep its GPUs, and no progress would be written.
    """
    from ray.tune.execution.tune_controller import TuneController

    update = TuneController._update_trial_queue

    def briefly(controller: TuneController, blocking: bool = False, timeout: int = 1) -> bool:
        return update(controller, blocking, timeout)

    TuneController._update_trial_queue = briefly  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        TuneController._update_trial_queue = update  # type: ignore[method-assign]


def _as_lost_actor(error: Exception) -> Exception:
    if isinstance(error, RayActorError | RayTaskError) or not isinstance(error, RayError):
        return error
    lost = RayActorError(error_msg=f"{type(error).__name__}: {error}")
    lost.__cause__ = error
    return lost
