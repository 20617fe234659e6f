"""Agenda: which stages may start, and what has become of the others. Plain logic, without Ray.

Invariants: a stage is taken only when its parent is done; a stage that cannot be had any more (its parent failed) is
`not run`, and so are all its descendants, while everything else goes on.
"""

import heapq
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["waiting", "running", "done", "stopped", "failed", "diverged", "not run"]
Cause = Literal["process", "node", "store", "preemption", "stop"]
"""What ended a trial before its stage had ended: a process of it died; its node did, without notice; the store was out
of reach for too long; it was asked to give up, because a node of it is taken back, or because the run stops."""

NODE_LOSSES = 10
"""Nodes that a stage may lose without notice. It is no fault of the program as a rule, but one that brings its machines
down must come to an end."""


@dataclass
class StageOutcome:
    """What became of one stage.

    Attributes:
        status: `waiting` and `running` are left only by a run that was stopped; `stopped` is a stage that was wanted no
            more while it ran.
        message: the reason in one sentence, empty where the stage is done.
        traceback: of a program's error, for its author.
        seconds: spent in the last attempt.
        lost: attempts that were lost, by cause.
        cause: of the last attempt's loss.
    """

    status: Status = "waiting"
    message: str = ""
    traceback: str = ""
    seconds: float = 0.0
    lost: Counter[Cause] = field(default_factory=Counter)
    cause: Cause | None = None

    @property
    def retries(self) -> int:
        """Attempts that count against `max_retries`."""
        return self.lost["process"]


class Agenda:
    """The stages of one run, offered in the order of the longest remaining chain.

    Args:
        parents: stage -> its parent; a parent that is not itself a stage here is done already.
        seconds: estimated seconds by stage; 1 where unknown.
        max_retries: attempts that a stage may lose with a process before it counts as failed.

    Attributes:
        open: stages may still be added.
    """

    def __init__(
        self, parents: Mapping[str, str | None], seconds: Mapping[str, float] | None = None, max_retries: int = 0
    ) -> None:
        self.outcomes = {name: StageOutcome() for name in parents}
        self.seconds = {name: float((seconds or {}).get(name, 1.0)) for name in parents}
        self.max_retries = max_retries
        self._limits: dict[Cause, float] = {"process": max_retries, "node": NODE_LOSSES}
        self.stopped = self.open = False
        self.running: set[str] = set()
        self._children: dict[str, list[str]] = {name: [] for name in parents}
        roots = []
        for name, parent in parents.items():
            if parent in self._children:
                self._children[parent].append(name)
            else:
                roots.append(name)
        self._order = {name: i for i, name in enumerate(parents)}
        self.chain = self._chains(roots)
        self._ready: list[tuple[float, int, str]] = []
        for name in roots:
            self._push(name)

    def _chains(self, roots: list[str]) -> dict[str, float]:
        """Seconds from the start of each stage to the end of the longest chain that hangs on it."""
        descending = list(roots)
        for name in descending:
            descending.extend(self._children[name])
        chain: dict[str, float] = {}
        for name in reversed(descending):
            chain[name] = self.seconds[name] + max((chain[child] for child in self._children[name]), default=0.0)
        return chain

    def add(self, name: str) -> None:
        """One more stage, whose parent is done; again where it ended before."""
        self.outcomes[name] = StageOutcome()
        self.seconds[name] = self.chain[name] = 1.0
        self._children[name] = []
        self._order[name] = len(self._order)
        self._push(name)

    def _push(self, name: str) -> None:
        heapq.heappush(self._ready, (-self.chain[name], self._order[name], name))

    @property
    def exhausted(self) -> bool:
        """Nothing runs and nothing can start any more."""
        return not self.running and (self.stopped or not self._ready)

    def stop(self) -> None:
        """Let no stage start any more; those that have not ended are left `waiting`."""
        self.stopped = True

    def take(self) -> str | None:
        """The stage to start next, running from now on; None while none is ready."""
        if self.stopped or not self._ready:
            return None
        name = heapq.heappop(self._ready)[2]
        self.running.add(name)
        self.outcomes[name].status = "running"
        return name

    def finish(
        self, name: str, status: Status, message: str = "", traceback: str = "", seconds: float = 0.0
    ) -> list[str]:
        """End a running stage, as anything but `waiting`; returns the stages that are `not run` for it."""
        self.running.remove(name)
        outcome = self.outcomes[name]
        outcome.status, outcome.message, outcome.traceback, outcome.seconds = status, message, traceback, seconds
        if status == "done":
            for child in self._children[name]:
                self._push(child)
            return []
        return self._give_up(name)

    def lose(self, name: str, reason: str, cause: Cause = "process") -> bool:
        """A running stage's trial is gone: True where it is offered again, False where it has failed for good."""
        outcome = self.outcomes[name]
        outcome.lost[cause] += 1
        outcome.cause = cause
        if outcome.lost[cause] > self._limits.get(cause, math.inf):
            whose = "nodes" if cause == "node" else "processes"
            times = f"{outcome.lost[cause]} times" if outcome.lost[cause] > 1 else "once"
            self.finish(name, "failed", f"its {whose} were lost {times}; the last time: {reason}")
            return False
        outcome.status, outcome.message = "waiting", reason
        self.running.remove(name)
        self._push(name)
        return True

    def _give_up(self, name: str) -> list[str]:
        lost = list(self._children[name])
        for child in lost:
            self.outcomes[child].status = "not run"
            self.outcomes[child].message = f"{name} is {self.outcomes[name].status}"
            lost.extend(self._children[child])
        return lost
