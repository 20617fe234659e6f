"""How many trials fit the cluster, and whether all of its nodes see the store."""

import logging
import os
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from stilts.errors import StiltsError
from stilts.experiment.experiment import Experiment
from stilts.experiment.runtime import Runtime
from stilts.plan.cost.disk import declared_trials
from stilts.run.cluster.autoscaler import startable
from stilts.run.cluster.connect import connected
from stilts.run.cluster.cpus import usable_cpus
from stilts.run.ray_private import draining_nodes, is_autoscaled
from stilts.schedule.capacity import at_once
from stilts.storage.open import local_folder

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0
PROBE_SECONDS = 60.0

Resources = dict[str, float]


def use_gpu(runtime: Runtime) -> bool:
    """Whether each rank gets a GPU; `runtime.accelerator: auto` uses GPUs if the cluster has or can start any."""
    if runtime.accelerator == "auto":
        return any(node.get("GPU", 0) > 0 for node in _nodes()) or startable([{"GPU": 1.0}])
    return runtime.accelerator == "gpu"


def capacity(runtime: Runtime, gpu: bool, bundle: Resources | None = None) -> Callable[[], int]:
    """Return a function that tells how many trials may run or wait for resources now.

    Its answer is refreshed every `REFRESH_SECONDS`.

    Args:
        bundle: what one rank reserves (see `rank_bundle`); by default, no memory.

    Raises:
        StiltsError: the cluster cannot run a single trial, not even when it has grown.
    """
    bundle = _bundle(runtime, gpu) if bundle is None else bundle
    limit = runtime.max_parallel or 10**6
    growing = is_autoscaled()
    if not fitting(bundle, runtime.ranks, _nodes(), 1) and not startable([bundle] * runtime.ranks):
        raise StiltsError(_too_small(runtime, gpu))
    asked, answer = -REFRESH_SECONDS, 0

    def now() -> int:
        nonlocal asked, answer
        if time.monotonic() - asked >= REFRESH_SECONDS:
            asked = time.monotonic()
            fits = fitting(bundle, runtime.ranks, _nodes(without=draining_nodes()), limit)
            answer = at_once(fits, runtime.max_parallel, growing=growing)
        return answer

    return now


def rank_bundle(runtime: Runtime, gpu: bool, memory: float, note: Callable[[str], None]) -> Resources:
    """What Ray reserves for one rank.

    Ray offers about 70 % of the memory that was free on a node when it started there. If no node offers what one trial
    is estimated to need, less is reserved, so that the trial starts all the same.

    Args:
        memory: bytes; 0 reserves none.
        note: called with a warning if less memory is reserved than was asked for.

    Raises:
        StiltsError: `runtime.memory_per_rank` asks for more than any node offers.
    """
    plain, ranks = _bundle(runtime, gpu), runtime.ranks
    if memory < 1:
        return plain
    wanted = {**plain, "memory": float(int(memory))}
    nodes = _nodes()
    if fitting(wanted, ranks, nodes, 1) or startable([wanted] * ranks):
        return wanted
    if not fitting(plain, ranks, nodes, 1):
        return plain  # only the autoscaler can start it, and says that it has no node with so much memory
    offered = largest_memory(plain, ranks, nodes)
    said = f"one rank needs {memory / 1e9:.1f} GB of memory, and Ray offers {offered / 1e9:.1f} GB for it"
    if runtime.memory_per_rank is not None:
        raise StiltsError(f"runtime.memory_per_rank: {said}; lower it, or leave it out")
    note(
        f"by an estimate, {said}: trials run one at a time, and may be killed for lack of memory. Lower "
        "runtime.tokens_per_micro_batch (it changes no key), or end other programs"
    )
    return {**plain, "memory": float(int(offered))}


def largest_memory(bundle: Resources, ranks: int, nodes: Sequence[Resources]) -> float:
    """The largest memory in bytes that each rank of one trial can reserve on these nodes beside the bundle."""
    shares = {node.get("memory", 0.0) // share for node in nodes for share in range(1, ranks + 1)}
    fits = (memory for memory in sorted(shares, reverse=True) if memory >= 1)
    return next((memory for memory in fits if fitting({**bundle, "memory": memory}, ranks, nodes, 1)), 0.0)


def trials_at_once(experiment: Experiment) -> int:
    """How many trials of an experiment run at the same time: as it declares, else as many as fit the cluster now.

    Without RAY_ADDRESS, the cluster is this machine. An autoscaler may start more nodes than a cluster has now; only
    the field `cluster` tells how many.
    """
    declared = declared_trials(experiment)
    if declared is not None:
        return declared
    runtime = experiment.runtime
    if os.environ.get("RAY_ADDRESS") or ray.is_initialized():
        with connected():
            nodes, gpu = _nodes(), use_gpu(runtime)
    else:
        gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
        nodes = [{"CPU": float(usable_cpus()), "GPU": float(gpus)}]
        gpu = runtime.accelerator == "gpu" or (runtime.accelerator == "auto" and gpus > 0)
    return max(1, fitting(_bundle(runtime, gpu), runtime.ranks, nodes, 10**6))


def _bundle(runtime: Runtime, gpu: bool) -> Resources:
    """What one rank needs."""
    return {"CPU": runtime.cpus_per_rank} | ({"GPU": 1.0} if gpu else {})


def fitting(bundle: Resources, ranks: int, nodes: Sequence[Resources], limit: int) -> int:
    """How many trials, of `ranks` equal bundles each, fit on these nodes at once if they are empty, up to a limit."""
    bundles = 0
    for node in nodes:
        bundles += min(int(node.get(kind, 0.0) / need + 1e-9) for kind, need in bundle.items())
    return min(limit, bundles // ranks)


def check_store(store: str) -> None:
    """Check that every node sees a store on a local path, by creating a file there and asking each node for it.

    Raises:
        StiltsError: a node does not find the file.
    """
    others = [node for node in ray.nodes() if node["Alive"] and node["NodeManagerAddress"] != _here()]
    folder = local_folder(store)
    if not others or folder is None:
        return
    path = folder.resolve()
    path.mkdir(parents=True, exist_ok=True)
    marker = path / f".seen-{uuid.uuid4().hex}"
    marker.touch()
    try:
        blind = _blind(others, marker)
    finally:
        marker.unlink()
    if blind:
        raise StiltsError(
            f"the store {path} is not seen by {', '.join(blind)}: put it on a file system that all nodes mount at the "
            f"same path, or use an object store (s3://, gs://)"
        )


def _here() -> str:
    return ray.util.get_node_ip_address()


def _blind(nodes: Sequence[dict], marker: Path) -> list[str]:
    probe = ray.remote(num_cpus=0)(os.path.exists)
    blind = []
    answers = [
        probe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            str(marker)
        )
        for node in nodes
    ]
    for node, answer in zip(nodes, answers, strict=True):
        try:
            seen = ray.get(answer, timeout=PROBE_SECONDS)
        except RayError as error:
            logger.warning("node %s did not answer: %s", node["NodeManagerAddress"], error)
            continue
        if not seen:
            blind.append(node["NodeManagerAddress"])
    return blind


def _nodes(without: Collection[str] = ()) -> list[Resources]:
    """Resources of each node that is alive, except those with the ids `without`."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in without]


def _too_small(runtime: Runtime, gpu: bool) -> str:
    need = f"{runtime.ranks} rank{'s' if runtime.ranks > 1 else ''} with {runtime.cpus_per_rank:g} CPUs"
    need += " and 1 GPU each" if gpu else " each"
    has = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in _nodes())
    return (
        f"one trial needs {need}, but the cluster's nodes have: {has}. Lower runtime.ranks or runtime.cpus_per_rank"
        + (", or set runtime.accelerator to cpu" if gpu else "")
    )
