"""CPUs that this process may use: those of its CPU set, and no more than its control group's quota."""

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
DEVICES = Path("/dev")


def usable_cpus() -> int:
    """Number of CPUs that this process may use, at least 1.

    `taskset` and the CPU sets of Slurm and Kubernetes restrict the CPUs, and containers have a quota (`cpu.max` of
    their control group). Ray by itself counts all CPUs of the machine, or regards only the quota of some containers.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return max(1, allowed if quota is None else min(allowed, int(quota)))


def threads_of_rank(cpus_per_rank: float, *, gpu: bool) -> int:
    """Number of threads with which torch computes on the CPU in one rank, at least 1.

    With a GPU, this work is what the GPU waits for: packing, decoding, copies of weights. The rank takes an equal share
    of the node's CPUs for it, which no other trial of the node would use.

    Args:
        cpus_per_rank: as `Runtime.cpus_per_rank`.
        gpu: whether the rank has a GPU.
    """
    usable = usable_cpus()
    share = usable // max(1, len(list(DEVICES.glob("nvidia[0-9]*")))) if gpu else 0
    return max(1, min(max(int(cpus_per_rank), share), usable))


def _quota() -> float | None:
    """The smallest quota in CPUs of this process's control group and the groups that it lies in; None without one."""
    try:
        lines = [line.split(":", 2) for line in OWN_CGROUPS.read_text().splitlines()]
    except OSError:
        return None
    found = []
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if not controllers:
            root = CGROUPS
        elif "cpu" in controllers.split(","):
            root = CGROUPS / "cpu"
        else:
            continue
        group = root / path.lstrip("/")
        # In a container, the path may be that of the host; what is mounted is then the container's own group.
        folders = [group, *group.parents] if group.is_dir() else [root]
        found += [quota for folder in folders if folder.is_relative_to(root) and (quota := _limit(folder))]
    return min(found, default=None)


def _limit(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{part}_us").read_text().strip() for part in ("quota", "period"))
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
