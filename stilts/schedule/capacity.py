"""Capacity: how many trials may run or wait for resources. Used by runs and by the simulation."""

WAITING_FOR_NODES = 16
"""Smallest number of trials that wait on a cluster that can grow, so that the autoscaler sees a demand."""


def at_once(fits: int, limit: int | None, *, growing: bool) -> int:
    """Return how many trials may run or wait for resources.

    On a cluster that can grow, as many trials wait as already fit, so that each scale-up can double the cluster. With a
    fixed number of waiting trials it would grow by that number each time.

    Args:
        fits: trials that fit the current nodes.
        limit: largest number to return; None for no limit.
        growing: whether the cluster can grow.
    """
    # At least one, because a node that is gone may come back.
    offered = max(1, fits) + (max(WAITING_FOR_NODES, fits) if growing else 0)
    return offered if limit is None else min(limit, offered)
