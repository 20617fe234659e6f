"""Drain: have trials give up their resources without losing work, because a node is preempted or the run stops.

A trial that is asked to drain writes its resume state after the current step, or ends between two evaluations, waits
until all of that is in the store, and ends. Its stage is offered again, or waits for the next run; this does not count
as a retry.

The driver polls Ray for the nodes that are draining and asks the trials that have a process on one of them. One such
node drains the whole trial, because its ranks cannot go on without each other.

Ray 2.60 handles preemption itself in Ray Train only, for the ranks of a `TorchTrainer`, which stilts does not use. A
node of Ray 2.60 that was started with `ray start --block` also drains itself on SIGTERM, and waits for 30 seconds by
default. The signal arrives only when the machine is being shut down, and nodes without `--block` ignore it. The watcher
(`watch.py`) is kept because it acts on the cloud's notice, up to two minutes earlier, and on recommendations. This
module sees a node that drains for either reason in the same way.
"""

import time
from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial

from stilts.run.cluster.nodes import Nodes
from stilts.run.ray_private import actor_of, end_trial, release_idle_actors, unfinished_trials
from stilts.schedule.agenda import Agenda
from stilts.schedule.causes import Cause

STOP_SECONDS = 120.0
"""When the run stops, trials that have not ended this long after they were asked to are killed."""


class Brake:
    """Stops a run cleanly. Pass it to `execute`, and call `stop` at any time, from a callback or from any thread.

    From then on no stage starts. Running stages write their resume state and end. What still runs after `seconds` is
    killed and loses the work since its last resume state. `execute` then returns as it does at the end of a run. Stages
    that ended are `done`, `failed` or `diverged`; all others are `waiting`, and the next run continues them.

    Attributes:
        reason: the reason given in the first call; None while the run may go on.
    """

    def __init__(self) -> None:
        self._until = float("inf")
        self.reason: str | None = None

    def stop(self, reason: str, seconds: float = STOP_SECONDS) -> None:
        """Stop the run within some seconds. A later call can only bring the end forward."""
        self._until = min(self._until, time.monotonic() + seconds)
        self.reason = self.reason or reason

    @property
    def seconds_left(self) -> float:
        """Seconds until what still runs is killed; infinite while the run may go on."""
        return self._until - time.monotonic()


class Drain:
    """Watches the trials of one run and asks them to drain. Its methods are called in Tune's loop.

    Args:
        agenda: is stopped when the run stops.
        brake: stops the run.
        show: shows a line to the user.
    """

    def __init__(self, agenda: Agenda, brake: Brake, show: Callable[[str], None]) -> None:
        self._agenda, self._brake, self._show = agenda, brake, show
        self._nodes = Nodes()
        self._homes: dict[Trial, set[str]] = {}
        self._asked: dict[Trial, Cause] = {}
        self._draining: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its scheduler to restore it later; stilts never restores it.
        return {}

    def on_result(self, trial: Trial, nodes: str) -> None:
        """Note on which nodes a trial runs, given as ids with spaces between them."""
        if trial not in self._homes:
            self._homes[trial] = set(nodes.split())
            self._drain_if_preempted(trial)

    def on_end(self, trial: Trial) -> None:
        """Forget a trial that has ended."""
        self._homes.pop(trial, None)
        self._asked.pop(trial, None)

    def on_loss(self, trial: Trial, known: Cause | None = None) -> Cause:
        """Forget a trial that was lost, and return why.

        Args:
            known: the cause as the error of the trial tells it; None if it tells none.
        """
        cause = self._asked.get(trial) or known or self._nodes.cause(self._homes.get(trial, set()))
        self.on_end(trial)
        return cause

    def poll(self, controller: Any) -> None:
        """Act on the brake and on nodes that have begun to drain. Cheap: Tune calls it for every event."""
        if self._brake.reason is not None:
            self._stop(controller)
        fresh = self._nodes.draining() - self._draining
        if fresh:
            self._draining = self._draining | fresh
            for trial in list(self._homes):
                self._drain_if_preempted(trial)
            # A warm actor without work may be on such a node and must not get any.
            release_idle_actors(controller)

    def _drain_if_preempted(self, trial: Trial) -> None:
        preempted = self._homes[trial] & self._draining
        if preempted:
            self._ask(trial, "preemption", f"node {min(preempted)[:8]} is preempted")

    def _ask(self, trial: Trial, cause: Cause, reason: str) -> None:
        actor = actor_of(trial)
        if trial not in self._asked and actor is not None:
            self._asked[trial] = cause
            actor.drain.remote(reason)

    def _stop(self, controller: Any) -> None:
        reason = self._brake.reason
        assert reason is not None
        if not self._agenda.stopped:
            self._agenda.stop()
            seconds = max(0.0, self._brake.seconds_left)
            self._show(f"{reason}: running stages write their state, {seconds:.0f} s at most (Ctrl-C: stop at once)")
        kill = self._brake.seconds_left <= 0
        for trial in unfinished_trials(controller):
            if trial.status == Trial.RUNNING and not kill:
                self._ask(trial, "stop", reason)
                continue
            if trial.status == Trial.RUNNING:
                self._show(f"{trial.config['stage']} did not drain in time, and is stopped")
            end_trial(controller, trial)
