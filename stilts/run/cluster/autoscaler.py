"""Whether Ray's autoscaler is at work here, and whether it can start what a trial needs.

No public call tells which node types an autoscaler may start, and on a cluster that has shrunk to nothing there is no
node to look at. So the autoscaler itself is asked: a placement group of the trial's bundles waits for as long as it
takes to answer that the demand can be met, or that it is infeasible. It starts the node that the first trial needs
anyway. This is the second version of the autoscaler, which `ray up` and KubeRay start; all of it is private to Ray, and
tests/run pin it.
"""

import time

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply  # type: ignore[attr-defined]  # generated
from ray.util.placement_group import placement_group, remove_placement_group

ANSWER_SECONDS = 60.0
_ASK_SECONDS = 0.5


def autoscaled() -> bool:
    """An autoscaler is at work: what does not fit the nodes that there are may fit those to come."""
    # Asked anew: Ray remembers its answer of the first cluster that this process was connected to.
    return bool(is_autoscaler_v2(fetch_from_server=True))


def startable(bundles: list[dict[str, float]]) -> bool:
    """Whether the autoscaler can have nodes on which these bundles fit at once; no answer in a minute is a no."""
    if not autoscaled():
        return False
    group = placement_group(bundles, strategy="PACK")
    try:
        return _met(group.id.hex(), time.monotonic() + ANSWER_SECONDS)
    finally:
        remove_placement_group(group)


def _met(group: str, deadline: float) -> bool:
    """The autoscaler has seen the group in the cluster's state, and has not called it infeasible."""
    client = GcsClient(ray.get_runtime_context().gcs_address)
    shown_at: int | None = None
    while time.monotonic() < deadline:
        reply = GetClusterStatusReply.FromString(client.get_cluster_status(timeout_s=ANSWER_SECONDS))
        state, answer = reply.cluster_resource_state, reply.autoscaling_state
        waits = any(_is(group, request) for request in state.pending_gang_resource_requests)
        if shown_at is None and waits:
            shown_at = state.cluster_resource_state_version
        elif shown_at is not None and not waits:
            return True  # placed
        elif shown_at is not None and answer.last_seen_cluster_resource_state_version > shown_at:
            return not any(_is(group, request) for request in answer.infeasible_gang_resource_requests)
        time.sleep(_ASK_SECONDS)
    return False


def _is(group: str, request: object) -> bool:
    return group in str(request)
