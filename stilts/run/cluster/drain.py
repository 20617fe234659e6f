"""Drain: trials give up their place without losing work, because a node is taken back or the run stops.

A trial that is asked writes its resume state after the step it is at, or ends between two evaluations, waits until the
store has it all, and leaves. Its stage is offered again, or waits for the next run; nothing counts against it.

One poller serves all trials: the driver asks Ray which nodes are being drained, and tells the trials that have a
process on one of them. One such node drains the whole trial, for its ranks cannot go on without each other.
"""

import time
from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial

from stilts.run.cluster.nodes import Nodes
from stilts.schedule.agenda import Agenda, Cause

STOP_SECONDS = 120.0
"""Trials that have not given up this long after they were asked to, because the run stops, are killed."""


class Brake:
    """Stops a run cleanly. Give it to `execute`, and call `stop` whenever you like: from a callback, or any thread.

    From then on no stage starts. Those that run write their resume state and give up; what is still running after
    `seconds` is killed, and loses what it did since its last resume state. `execute` then returns as it does at the
    end of a run: stages that ended are `done`, `failed` or `diverged`, all others are `waiting`, and the same plan
    made again goes on with them.

    Attributes:
        reason: what was said when it was first called; None while the run may go on.
    """

    def __init__(self) -> None:
        self._until = float("inf")
        self.reason: str | None = None

    def stop(self, reason: str, seconds: float = STOP_SECONDS) -> None:
        """Stop the run, in at most some seconds. Called again it can only hasten the end."""
        self._until = min(self._until, time.monotonic() + seconds)
        self.reason = self.reason or reason

    @property
    def seconds_left(self) -> float:
        """Until what still runs is killed; infinite while the run may go on."""
        return self._until - time.monotonic()


class Drain:
    """Watches the trials of one run, and asks them to give way. Its methods are called in Tune's loop.

    What it takes of Tune's controller and trials is private to Ray; tests/run pin it.

    Args:
        agenda: is told when the run stops.
        brake: stops the run.
        tell: shows a person a line.
    """

    def __init__(self, agenda: Agenda, brake: Brake, tell: Callable[[str], None]) -> None:
        self._agenda, self._brake, self._tell = agenda, brake, tell
        self._nodes = Nodes()
        self._homes: dict[Trial, set[str]] = {}
        self._asked: dict[Trial, Cause] = {}
        self._known: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its scheduler, for a restore that never comes.
        return {}

    def seen(self, trial: Trial, nodes: str) -> None:
        """A trial has reported, from these nodes."""
        if trial not in self._homes:
            self._homes[trial] = set(nodes.split())
            self._leave(trial)

    def ended(self, trial: Trial) -> None:
        """A trial has ended well."""
        self._homes.pop(trial, None)
        self._asked.pop(trial, None)

    def cause(self, trial: Trial) -> Cause:
        """Why a trial was lost just now."""
        asked = self._asked.get(trial)
        cause = asked or self._nodes.cause(self._homes.get(trial, set()))
        self.ended(trial)
        return cause

    def tick(self, controller: Any) -> None:
        """Look after the brake and the nodes; cheap, for Tune's loop turns for every event."""
        if self._brake.reason is not None:
            self._stop(controller)
        fresh = self._nodes.draining() - self._known
        if fresh:
            self._known = self._known | fresh
            for trial in list(self._homes):
                self._leave(trial)
            # A warm process that waits for work on such a node must not get any.
            controller._cleanup_cached_actors(force_all=True)

    def _leave(self, trial: Trial) -> None:
        """Ask a trial to go where it has a process on a node that is taken back."""
        leaving = self._homes[trial] & self._known
        if leaving:
            self._ask(trial, "preemption", f"node {min(leaving)[:8]} is taken back")

    def _ask(self, trial: Trial, cause: Cause, reason: str) -> None:
        actor = trial.temporary_state.ray_actor
        if trial not in self._asked and actor is not None:
            self._asked[trial] = cause
            actor.drain.remote(reason)

    def _stop(self, controller: Any) -> None:
        reason = self._brake.reason
        assert reason is not None
        if not self._agenda.stopped:
            self._agenda.stop()
            seconds = max(0.0, self._brake.seconds_left)
            self._tell(f"{reason}: running stages write their state, {seconds:.0f} s at most (Ctrl-C: stop at once)")
        kill = self._brake.seconds_left <= 0
        for trial in [trial for trial in controller.get_live_trials() if not trial.is_finished()]:
            if trial.status == Trial.RUNNING and not kill:
                self._ask(trial, "stop", reason)
                continue
            if trial.status == Trial.RUNNING:
                self._tell(f"{trial.config['stage']} did not give way in time, and is stopped")
            _end(controller, trial)


def _end(controller: Any, trial: Trial) -> None:
    """End a trial at once. Tune's own `stop_trial` prints to standard output."""
    trial.init_local_path()  # else Tune's list of results fails where the trial never started
    controller._search_alg.on_trial_complete(trial.trial_id)
    controller._schedule_trial_stop(trial)
