"""Watch: a small process on every node that turns a cloud's notice into a drain of the node.

It asks the cloud's metadata service (`notices.py`), and on a notice tells Ray that this machine goes (`drain_node.py`);
the drivers do the rest (`drain.py`). Nothing that goes wrong ends it: it says so once, tries again with growing pauses,
and says when it works again. SIGTERM and SIGINT end it.
"""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

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
    """Watch until a signal comes.

    Args:
        cloud: as `notices.notice_source` takes it.
        address, node: as `drain_node` takes them.
        every: seconds from one question to the next; a source may take longer to answer.
        drain_on_rebalance: whether a recommendation to leave the machine drains it; else it is only logged. It may
            come earlier than a notice, and without one; a trial needs seconds to leave, a new machine minutes to boot.

    Raises:
        StiltsError: there is no such cloud.
    """
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", datefmt="%Y-%m-%d %H:%M:%S", level=logging.INFO)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    if cloud not in ("auto", "aws", "gcp"):
        notice_source(cloud)  # a wrong name is told at once
    name, ask = _patiently("the metadata service", lambda: notice_source(cloud), every, 60.0)
    nodes = _patiently("Ray", lambda: drain_node(address, node, None, "look"), every, 60.0)
    log.info("watching %s for notices about this machine, Ray node %s", name, nodes or "none so far")
    _Watch(ask, address, node, every, drain_on_rebalance).run()


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
        """Each kind of notice is acted on once: what stands today is announced until the machine goes."""
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
    """Drain this machine's nodes (or only look, for the reason `look`); returns the first letters of their ids.

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
    """What a function returns in the end: tried again, with growing pauses of so many seconds, while it fails."""
    failed = False
    while True:
        try:
            found = try_it()
        except StiltsError:
            raise
        except Exception as error:  # a source is anybody's function
            if not failed:
                log.warning("%s: %s; trying again", what, error if isinstance(error, Unavailable) else repr(error))
            failed = True
            time.sleep(pause)
            pause = min(2 * pause, longest)
            continue
        if failed:
            log.info("%s answers again", what)
        return found
