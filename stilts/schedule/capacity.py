"""Capacity: how many trials may run or wait for resources at once. The same rule in a run and in a simulation."""

WAITING_FOR_NODES = 16
"""Least number of trials that wait on a cluster that can grow, so that it sees a demand."""


def at_once(fits: int, limit: int | None, *, growing: bool) -> int:
    """Trials that may run or wait, where so many fit the nodes of now: where the cluster can grow, as many again.

    So it can double with each boot of nodes. By a fixed number that waits, it would grow by that number and no faster.
    """
    # At least one: a node that is gone for the moment may come back.
    offered = max(1, fits) + (max(WAITING_FOR_NODES, fits) if growing else 0)
    return offered if limit is None else min(limit, offered)
