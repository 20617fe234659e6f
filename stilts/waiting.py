"""Waiting for servers: print what this process waits for, and bound the wait.

Whatever may wait for a server (a store, a Ray cluster, a database, the hub, a tracker) does so in `noticed` or
`bounded`. After `NOTICE_SECONDS` without an answer, a line on standard error names the server. Standard output contains
results only.

How long a process waits depends on its purpose. An interactive command, for which a person waits, ends with an error
after `INTERACTIVE_SECONDS`, with the command that finds the cause. A trial, and a driver whose trials are running, wait
much longer, because an outage must not cost their work. The command line calls `become_interactive` when it starts, and
`execute` calls `become_patient` before the first trial. All other processes, such as those of trials, are patient from
the beginning.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from stilts.errors import StiltsError
from stilts.experiment.secrets import redact

NOTICE_SECONDS = 3.0
"""Seconds without an answer after which a line says what is waited for."""

INTERACTIVE_SECONDS = 30.0
"""Seconds without an answer after which an interactive command ends."""

REPEAT_SECONDS = 300.0
"""The line about one server is printed at most once in so many seconds."""

Answer = TypeVar("Answer")


class NoAnswer(StiltsError):
    """A server did not answer within `INTERACTIVE_SECONDS`. A thread of this process may still wait for it."""


@dataclass(eq=False)
class Wait:
    """One wait for a server.

    Attributes:
        server: name of the server, for messages.
        due: time (monotonic) at which the line about it is printed; infinite if the wait is not to be noticed yet.
        reason: why there is no answer yet, for the line; empty if nothing is known.
    """

    server: str
    due: float
    reason: str = ""

    def failed(self, reason: str) -> None:
        """Record that an attempt failed and is going to be repeated."""
        self.reason = reason
        if self.due == float("inf"):
            _watcher.postpone(self, time.monotonic() + NOTICE_SECONDS)


@contextmanager
def noticed(server: str, *, working: bool = False) -> Iterator[Wait]:
    """Print a line on standard error if what is done here lasts longer than `NOTICE_SECONDS`.

    Args:
        server: what is waited for, with its address and without secrets: `the store s3://bucket/prefix`.
        working: whether it may last long although the server answers, as the transfer of a large file does. Then the
            time counts from the first call of `Wait.failed`.
    """
    wait = Wait(server, float("inf") if working else time.monotonic() + NOTICE_SECONDS)
    _watcher.add(wait)
    try:
        yield wait
    finally:
        _watcher.remove(wait)


def bounded(call: Callable[[], Answer], server: str, advice: str) -> Answer:
    """Call a function that waits for a server. An interactive command waits at most `INTERACTIVE_SECONDS`.

    The function runs in a thread of its own where the wait is bounded, because calls of C libraries cannot be
    interrupted.

    Args:
        server: as in `noticed`.
        advice: what to do if there is no answer, such as the command that finds the cause.

    Raises:
        NoAnswer: the function has not returned in time.
        Exception: what the function raises.
    """
    with noticed(server):
        if not is_interactive():
            return call()
        answers: list[Answer] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                answers.append(call())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work, daemon=True, name="waits for a server")
        thread.start()
        thread.join(patience(server, INTERACTIVE_SECONDS))
        if errors:
            raise errors[0]
        if not answers:
            gave_up(server)
            raise NoAnswer(f"{server} has not answered for {INTERACTIVE_SECONDS:.0f} s; {advice}")
        return answers[0]


# --- who waits ---------------------------------------------------------------------------------------------


@dataclass
class _Mode:
    """Whether this process serves a person who waits, and the servers that did not answer in time."""

    interactive: bool = False
    silent: set[str] = field(default_factory=set)


_mode = _Mode()


def become_interactive() -> None:
    """From now on a person waits for this process: no wait lasts longer than `INTERACTIVE_SECONDS`."""
    _mode.interactive = True


def become_patient() -> None:
    """From now on this process waits as long as each server's own patience says, because trials are running."""
    _mode.interactive = False
    _mode.silent.clear()


def is_interactive() -> bool:
    """Whether a person waits for this process."""
    return _mode.interactive


def patience(server: str, usual: float) -> float:
    """Seconds for which requests to a server are repeated.

    An interactive command does not wait again for a server that has not answered in time, as it would when it
    releases its leases at the end.

    Args:
        usual: the seconds of a process that nobody waits for.
    """
    if not _mode.interactive:
        return usual
    return 0.0 if server in _mode.silent else min(usual, INTERACTIVE_SECONDS)


def gave_up(server: str) -> None:
    """Record that a server did not answer in time."""
    if _mode.interactive:
        _mode.silent.add(server)


# --- the line ----------------------------------------------------------------------------------------------


class _Watcher:
    """One thread that prints the lines of all waits. It sleeps until the next line is due."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waits: set[Wait] = set()
        self._told: dict[str, float] = {}
        self._started = False
        self._wakes = float("inf")

    def add(self, wait: Wait) -> None:
        with self._changed:
            self._waits.add(wait)
            self._wake(wait.due)

    def remove(self, wait: Wait) -> None:
        with self._changed:
            self._waits.discard(wait)

    def postpone(self, wait: Wait, due: float) -> None:
        with self._changed:
            wait.due = due
            self._wake(due)

    def _wake(self, due: float) -> None:
        """Make sure that the thread runs, and that it does not sleep past `due`."""
        if due == float("inf"):
            return
        if not self._started:
            self._started = True
            threading.Thread(target=self._watch, daemon=True, name="notices of waits").start()
        elif due < self._wakes:
            self._changed.notify()

    def _watch(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                due = min((wait.due for wait in self._waits), default=float("inf"))
                if due > now:
                    self._wakes = due
                    self._changed.wait(None if due == float("inf") else due - now)
                    continue
                lines = [line for wait in self._waits if wait.due <= now and (line := self._line(wait, now))]
            for line in lines:
                # Whatever is written here, the command goes on: standard error may be closed.
                with contextlib.suppress(OSError, ValueError):
                    print(line, file=sys.stderr, flush=True)

    def _line(self, wait: Wait, now: float) -> str | None:
        """The line of a wait that is due; None if its server was named a short while ago."""
        wait.due = now + REPEAT_SECONDS
        if now - self._told.get(wait.server, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return None
        self._told[wait.server] = now
        reason = f" ({wait.reason})" if wait.reason else ""
        end = f"; this command ends after {INTERACTIVE_SECONDS:.0f} s without an answer" if is_interactive() else ""
        return redact(f"waiting for {wait.server}{reason}{end}")


_watcher = _Watcher()


def _start_anew() -> None:
    """A forked child has none of its parent's threads."""
    global _watcher  # noqa: PLW0603
    _watcher = _Watcher()


os.register_at_fork(after_in_child=_start_anew)
