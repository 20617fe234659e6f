"""Agenda: which stages may start, and how the others ended. Independent of Ray.

Invariants: a stage is taken only when its parent is done. If a stage fails, all of its descendants are `not run`, and
everything else continues. A stage that another driver trains stays among those that are ready: it is passed over until
that driver's lease is over, or until the store shows how the stage ended there.
"""

import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from stilts.schedule.causes import Cause, bound, final_message, pause

Status = Literal["waiting", "running", "done", "stopped", "failed", "diverged", "not run"]


@dataclass
class StageOutcome:
    """How one stage ended.

    Attributes:
        status: `waiting` and `running` remain only in a run that was stopped. `stopped` is a stage that was ended early
            because its result is not needed.
        message: the reason in one sentence; empty if the stage is done.
        traceback: of an error of the program.
        seconds: duration of the last attempt.
        lost: number of lost attempts, by cause.
        cause: why the last attempt was lost; None if it was not.
    """

    status: Status = "waiting"
    message: str = ""
    traceback: str = ""
    seconds: float = 0.0
    lost: Counter[Cause] = field(default_factory=Counter)
    cause: Cause | None = None

    @property
    def retries(self) -> int:
        """Lost attempts that count against `max_retries`."""
        return self.lost["process"]


class Agenda:
    """The stages of one run, offered in the order of the longest remaining chain.

    Args:
        parents: parent of each stage. A parent that is not a key itself is done already.
        seconds: estimated seconds by stage; 1 if unknown.
        max_retries: how often a stage may be retried after the loss of a process.
        clock: returns seconds; a retry may have to wait.

    Attributes:
        open: whether stages may still be added.
        leased: who trains a stage that is passed over, by its name.
    """

    def __init__(
        self,
        parents: Mapping[str, str | None],
        seconds: Mapping[str, float] | None = None,
        max_retries: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.outcomes = {name: StageOutcome() for name in parents}
        self.seconds = {name: float((seconds or {}).get(name, 1.0)) for name in parents}
        self.max_retries, self._clock = max_retries, clock
        self.stopped = self.open = False
        self.running: set[str] = set()
        self.leased: Mapping[str, str] = {}
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
        self._paused: dict[str, float] = {}
        for name in roots:
            self._push(name)

    def _chains(self, roots: list[str]) -> dict[str, float]:
        """Seconds from the start of each stage to the end of the longest chain that begins with it."""
        descending = list(roots)
        for name in descending:
            descending.extend(self._children[name])
        chain: dict[str, float] = {}
        for name in reversed(descending):
            chain[name] = self.seconds[name] + max((chain[child] for child in self._children[name]), default=0.0)
        return chain

    def add(self, name: str) -> None:
        """Add a stage whose parent is done, or one that has ended and shall run again."""
        self.outcomes[name] = StageOutcome()
        self.seconds[name] = self.chain[name] = 1.0
        self._children[name] = []
        self._order[name] = len(self._order)
        self._push(name)

    def _push(self, name: str) -> None:
        insort(self._ready, (-self.chain[name], self._order[name], name))

    @property
    def exhausted(self) -> bool:
        """Whether no stage is running and none can start."""
        return not self.running and (self.stopped or not (self._ready or self._paused))

    def stop(self) -> None:
        """Start no further stage. Those that have not ended stay `waiting`."""
        self.stopped = True

    @property
    def ready(self) -> list[str]:
        """The stages that may start now, in order."""
        self._end_pauses()
        return [] if self.stopped else [name for _, _, name in self._ready]

    def take(self, is_free: Callable[[str], bool] = lambda name: True) -> str | None:
        """Return the next stage and mark it as running; None if none is ready.

        Args:
            is_free: whether a stage may be taken. The others are passed over.
        """
        self._end_pauses()
        for position, (_, _, name) in enumerate([] if self.stopped else self._ready):
            if is_free(name):
                del self._ready[position]
                self.running.add(name)
                self.outcomes[name].status = "running"
                return name
        return None

    def _end_pauses(self) -> None:
        for name in [name for name, due in self._paused.items() if due <= self._clock()]:
            del self._paused[name]
            self._push(name)

    def give_back(self, name: str) -> None:
        """Note that a running stage was given back because another driver trains it. No loss is counted."""
        self.running.remove(name)
        self.outcomes[name].status = "waiting"
        self._push(name)

    def finish(
        self, name: str, status: Status, message: str = "", traceback: str = "", seconds: float = 0.0
    ) -> list[str]:
        """End a running stage with any status but `waiting`; return the stages that are `not run` because of it."""
        self.running.remove(name)
        outcome = self.outcomes[name]
        outcome.status, outcome.message, outcome.traceback, outcome.seconds = status, message, traceback, seconds
        outcome.cause = None
        return self._follow(name)

    def _follow(self, name: str) -> list[str]:
        """Make the children of a stage that is done ready; otherwise skip its descendants, and return them."""
        if self.outcomes[name].status != "done":
            return self._skip_descendants(name)
        for child in self._children[name]:
            if self.outcomes[child].status == "waiting":  # otherwise it is concluded
                self._push(child)
        return []

    def lose(self, name: str, reason: str, cause: Cause = "process") -> bool:
        """Note that the trial of a running stage was lost; return False if the stage has failed and is not retried."""
        outcome = self.outcomes[name]
        outcome.lost[cause] += 1
        if outcome.lost[cause] > bound(cause, self.max_retries):
            self.finish(name, "failed", final_message(cause, outcome.lost[cause], reason))
            outcome.cause = cause
            return False
        outcome.cause = cause
        outcome.status, outcome.message = "waiting", reason
        self.running.remove(name)
        self._paused[name] = self._clock() + pause(cause, outcome.lost[cause])
        return True

    def conclude(self, name: str, status: Status, message: str) -> None:
        """End a stage that is not run here, because the store tells how an earlier run or another driver ended it."""
        self.outcomes[name].status, self.outcomes[name].message = status, message
        self._paused.pop(name, None)
        self._ready = [entry for entry in self._ready if entry[2] != name]
        self._follow(name)

    def _skip_descendants(self, name: str) -> list[str]:
        lost = list(self._children[name])
        for child in lost:
            self.outcomes[child].status = "not run"
            self.outcomes[child].message = f"{name} is {self.outcomes[name].status}"
            lost.extend(self._children[child])
        return lost
