"""The watcher: a small process on every node that drains the node when the cloud announces its preemption.

It polls the cloud's metadata service (`notices.py`) and, on a notice, marks the Ray nodes of this machine as draining
(`drain_node.py`); the drivers then drain their trials (`drain.py`). No error ends it: it logs the first of a series of
failures, retries with growing pauses, and logs when it succeeds again. SIGTERM and SIGINT end it.
"""

import fcntl
import hashlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

from stilts.errors import StiltsError
from stilts.run.cluster.notices import Notice, NoticeSource, Unavailable, notice_source

log = logging.getLogger("stilts watch")

DRAIN_SECONDS = 120.0

T = TypeVar("T")


def watch(
    cloud: str = "auto",
    address: str = "auto",
    node: str = "here",
    every: float = 5.0,
    drain_on_rebalance: bool = False,
) -> None:
    """Watch for notices until SIGTERM or SIGINT arrives. Returns at once if another process watches in the same way.

    `ray up` runs the start commands of a node again whenever the cluster is updated, and must not add a watcher each
    time.

    Args:
        cloud: as `notices.notice_source` takes it.
        address, node: as `drain_node` takes them.
        every: seconds between two polls; a source may take longer to answer.
        drain_on_rebalance: whether a mere recommendation to leave the machine drains it; otherwise it is only logged.
            A recommendation may come earlier than a notice, and may not be followed by one. Draining a trial takes
            seconds, booting another machine takes minutes.

    Raises:
        StiltsError: `cloud` is not known.
    """
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", datefmt="%Y-%m-%d %H:%M:%S", level=logging.INFO)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    if cloud not in ("auto", "aws", "gcp"):
        notice_source(cloud)  # reports a wrong name at once
    lock = _locked(f"{cloud} {address} {node}")
    if lock is None:
        log.info("another process of this user watches already; this one ends")
        return
    name, ask = _patiently("the metadata service", lambda: notice_source(cloud), every, 60.0)
    nodes = _patiently("Ray", lambda: drain_node(address, node, None, "look"), every, 60.0)
    log.info("watching %s for notices about this machine, Ray node %s", name, nodes or "none so far")
    with lock:
        _Watch(ask, address, node, every, drain_on_rebalance).run()


def _locked(what: str) -> IO[bytes] | None:
    """The open lock file of a watcher, which is released when the process ends; None if another process holds it."""
    digest = hashlib.sha256(what.encode()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"stilts-watch-{os.getuid()}-{digest}.lock"
    try:
        # The file of another user is neither followed nor opened.
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b")
    except OSError as error:  # two watchers are better than none
        log.warning("cannot tell whether another process watches: %s", error)
        return open(os.devnull, "rb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _end(number: int, frame: Any) -> None:
    log.info("ended by %s", signal.Signals(number).name)
    sys.exit(0)


class _Watch:
    def __init__(self, ask: NoticeSource, address: str, node: str, every: float, drain_on_rebalance: bool) -> None:
        self._ask, self._address, self._node, self._every = ask, address, node, every
        self._drain_on_rebalance = drain_on_rebalance
        self._known: set[str] = set()

    def run(self) -> None:
        while True:
            began = time.monotonic()
            notice = _patiently("the metadata service", self._ask, self._every, 2 * self._every)
            if notice is not None:
                self._act(notice)
            time.sleep(max(0.0, began + self._every - time.monotonic()))

    def _act(self, notice: Notice) -> None:
        """Act on a notice, once for each kind: the cloud repeats a notice until the machine is gone."""
        kind = "certain" if notice.certain else "recommended"
        if kind in self._known:
            return
        self._known.add(kind)
        if not notice.certain and not self._drain_on_rebalance:
            log.info("%s; nothing is done about it (--drain-on-rebalance drains)", notice.text)
            return
        nodes = _patiently("Ray", lambda: drain_node(self._address, self._node, notice.deadline, notice.text), 1.0, 5.0)
        log.info("%s: draining Ray node %s%s", notice.text, nodes or "none", _left(notice))


def _left(notice: Notice) -> str:
    return "" if notice.deadline is None else f", {max(0.0, notice.deadline - time.time()):.0f} s left"


def drain_node(address: str, node: str, deadline: float | None, reason: str) -> str:
    """Drain this machine's Ray nodes in a process of its own; return the first characters of their ids.

    Args:
        reason: for Ray's logs; `look` only finds the nodes.

    Raises:
        Unavailable: Ray cannot be reached, or refuses.
    """
    left = "0" if deadline is None else f"{max(1.0, deadline - time.time()):.1f}"
    command = [sys.executable, "-m", "stilts.run.cluster.drain_node", address, node]
    command += ["look", ""] if reason == "look" else [left, reason]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DRAIN_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"Ray cannot be asked: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Unavailable(f"Ray cannot be asked: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout.strip()


def _patiently(what: str, try_it: Callable[[], T], pause: float, longest: float) -> T:
    """Call a function until it succeeds, with pauses that double from `pause` to `longest` seconds."""
    failed = False
    while True:
        try:
            found = try_it()
        except StiltsError:
            raise
        except Exception as error:  # a source may be a user's function
            if not failed:
                log.warning("%s: %s; trying again", what, error if isinstance(error, Unavailable) else repr(error))
            failed = True
            time.sleep(pause)
            pause = min(2 * pause, longest)
            continue
        if failed:
            log.info("%s answers again", what)
        return found
