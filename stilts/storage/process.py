"""Identity of a process across the processes that share a store: whether the holder of a lease still exists."""

import os
from pathlib import Path


def boot_id() -> str:
    """Identifies this boot and this pid namespace. Process ids are comparable only where both are equal."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def is_gone(pid: int, started: str) -> bool:
    """Whether the process with this id and start time no longer exists on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process; its start time may be hidden
        return False
    return start_time(pid) != started


def start_time(pid: int) -> str:
    """Start time of a process, by which a reused pid is recognised; empty if the process does not exist."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if stat[0] == "Z" else stat[19]
