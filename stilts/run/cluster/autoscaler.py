"""Whether the cluster has an autoscaler, and whether that can start what a trial needs.

No public call tells which types of nodes an autoscaler may start, and a cluster that has shrunk to nothing has no node
to look at. So the autoscaler is asked: a placement group with the bundles of one trial waits until the autoscaler has
answered that the demand can be met, or that it is infeasible. If it can be met, this starts the node that the first
trial needs anyway. This works with the second version of the autoscaler, which `ray up` and KubeRay start.
"""

import time

from ray.util.placement_group import placement_group, remove_placement_group

from stilts.run.ray_private import GroupDemand, is_autoscaled

ANSWER_SECONDS = 60.0
_ASK_SECONDS = 0.5


def startable(bundles: list[dict[str, float]]) -> bool:
    """Whether the autoscaler can start nodes on which these bundles fit at once.

    No answer within `ANSWER_SECONDS` counts as no.
    """
    if not is_autoscaled():
        return False
    group = placement_group(bundles, strategy="PACK")
    try:
        return _is_met(GroupDemand(group.id.hex()))
    finally:
        remove_placement_group(group)


def _is_met(demand: GroupDemand) -> bool:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        met = demand.met()
        if met is not None:
            return met
        time.sleep(_ASK_SECONDS)
    return False
