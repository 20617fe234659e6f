"""Checks of this machine: memory, temporary space, open files and ports."""

import os
import resource
import shutil
import socket
import tempfile
from pathlib import Path

import psutil

from stilts.errors import sized
from stilts.monitor.finding import Finding
from stilts.plan.cost.memory import container_limit

LOW_MEMORY = 4e9
"""A process of a 63-million-parameter model takes 2.5 to 5 GB."""
LOW_SHARED_MEMORY = 1e9
LOW_TEMPORARY = 5e9
LOW_FILES = 4096
FILES = 65536
"""Open files that Ray recommends for a node."""
MOST_CHARACTERS = 40
"""Characters of a temporary folder with which the paths of Ray's Unix sockets stay below 107."""
SHARED_MEMORY = Path("/dev/shm")


def memory() -> Finding:
    """Memory of this machine, the limit of its container, and shared memory for Ray's objects."""
    found = psutil.virtual_memory()
    limit = container_limit()
    free = min(found.available, limit or found.available)
    said = f"{found.available / 1e9:.1f} of {found.total / 1e9:.1f} GB available"
    if limit is not None and limit < found.total:
        said += f", this container may use {limit / 1e9:.1f} GB"
    remedies = []
    if free < LOW_MEMORY:
        remedies.append("end other programs, or set runtime.max_parallel: 1 and lower runtime.tokens_per_micro_batch")
    if SHARED_MEMORY.is_dir():
        shared = shutil.disk_usage(SHARED_MEMORY).total
        said += f", {shared / 1e9:.1f} GB of shared memory ({SHARED_MEMORY})"
        if shared < LOW_SHARED_MEMORY:
            remedies.append("give the container more shared memory (docker run --shm-size=4g)")
    return Finding("memory", "warning" if remedies else "ok", said, "; ".join(remedies))


def temporary() -> Finding:
    """Space where weights are written before they are stored, and the length of the path for Ray's sockets."""
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")
    said = f"{sized(free)} free at {folder} (TMPDIR), where weights are written before they are stored"
    if free < LOW_TEMPORARY:
        return Finding("temporary space", "warning", said, "set TMPDIR to a folder on a larger disk")
    longest = os.environ.get("RAY_TMPDIR", "")
    if len(longest) > MOST_CHARACTERS:
        remedy = f"set RAY_TMPDIR to a folder of at most {MOST_CHARACTERS} characters"
        return Finding("temporary space", "warning", f"{said}; RAY_TMPDIR has {len(longest)} characters", remedy)
    return Finding("temporary space", "ok", said)


def open_files() -> Finding:
    """How many files a process may open. Ray opens one for each connection between its processes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"{_number(soft)} at most, {_number(hard)} if asked for"
    if resource.RLIM_INFINITY != soft < LOW_FILES:
        return Finding("open files", "warning", said, f"ulimit -n {FILES if hard < 0 else min(FILES, hard)}")
    return Finding("open files", "ok", said)


def _number(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def ports() -> Finding:
    """Whether processes of this machine can listen and reach each other, as a local Ray and a gang need it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        socket.create_connection(listener.getsockname(), 5.0).close()
    taken = [port for port in (6379, 10001) if _listens(port)]
    said = "free ports can be opened and reached on 127.0.0.1"
    if taken:
        said += f"; something listens on {' and '.join(map(str, taken))}, where `ray start --head` would"
        return Finding("ports", "ok", said, "runs choose free ports themselves; `ray start --port` takes another one")
    return Finding("ports", "ok", said)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True
