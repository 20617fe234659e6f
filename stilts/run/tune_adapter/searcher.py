"""Tune's searcher, which offers the next stage, and Tune's scheduler, which drains, stops and releases trials.

A stage whose trial was lost is offered again as a new trial. Tune's own retry is not used: Tune 2.60 fails a trial for
good if the warm actor that it was to reuse has died, and may wait for ever for one that was being reset.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import cloudpickle
from ray.exceptions import RayTaskError
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from stilts.plan.job import StageJob
from stilts.run.cluster.drain import Drain
from stilts.run.gang.gang import LostRank
from stilts.run.gang.losses import brief, cause_of, shortened
from stilts.run.leases import Leases
from stilts.run.ray_private import actor_of, controller_of, has_idle_actor, release_idle_actors
from stilts.run.stage.ending import LEASED
from stilts.run.tune_adapter.trial import Drained
from stilts.schedule.agenda import Agenda, StageOutcome
from stilts.schedule.causes import Cause

SILENT_SECONDS = 1800.0
"""A trial reports every few seconds, but may take up to twenty minutes to connect its ranks. One that has not reported
for so long is frozen and is killed."""


class StageSource(Protocol):
    """Offers stages that are not known when the run begins. Its methods are called in Tune's loop.

    Attributes:
        uri: of the store of these stages.
    """

    uri: str

    def offer(self) -> StageJob | None:
        """Return one more stage to run, whose parent is done, or None; it is asked again when a stage has ended."""

    def reported(self, stage: str, result: Mapping[str, Any]) -> bool:
        """Take a report of a stage that it offered; return whether the stage shall stop."""

    def ended(self, stage: str, outcome: StageOutcome) -> None:
        """Take the outcome of a stage that it offered. Not called for a stage that will be retried."""


class StageSearcher(Searcher):
    """Offers the stages of an agenda, as many at a time as the capacity allows.

    Args:
        agenda: notes how every stage ends.
        capacity: returns how many trials may run or wait for resources now.
        source: offers further stages when none of the agenda is ready.
        record: called with the name and outcome of a stage each time that an attempt at it has ended.
        leases: knows which stages other drivers train, which are passed over; None if there are no other drivers.
    """

    def __init__(
        self,
        agenda: Agenda,
        capacity: Callable[[], int],
        source: StageSource | None = None,
        record: Callable[[str, StageOutcome], None] = lambda name, outcome: None,
        leases: Leases | None = None,
    ) -> None:
        super().__init__()
        self._leases = leases
        self._agenda, self._capacity, self._source, self._record = agenda, capacity, source, record
        self._jobs: dict[str, StageJob] = {}
        self._stages: dict[str, str] = {}
        self._losses: dict[str, tuple[str, Cause]] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        self._conclude()
        if self._agenda.exhausted and (self._source is None or self._agenda.stopped):
            return Searcher.FINISHED
        if len(self._agenda.running) >= self._capacity():
            return None
        name = self._take() or self._offered()
        if name is None:
            return Searcher.FINISHED if self._agenda.exhausted else None
        self._stages[trial_id] = name
        return {"stage": name, **({"job": self._jobs[name]} if name in self._jobs else {})}

    def _take(self) -> str | None:
        """Take the first stage of the agenda that no other driver trains."""
        if self._leases is None:
            return self._agenda.take()
        places = self._capacity() - len(self._agenda.running)
        self._leases.look(self._agenda.ready, places, busy=bool(self._agenda.running))
        self._agenda.leased = self._leases.who
        name = self._agenda.take(self._leases.is_free)
        if name is not None:
            self._leases.take(name)
        return name

    def _offered(self) -> str | None:
        """Add a stage of the source to the agenda and take it; None if the source offers none now."""
        if self._source is None or self._agenda.stopped:
            return None
        if self._leases is not None and self._leases.unknown(self._agenda.ready):
            return None  # a stage that it has offered already may be free
        job = self._source.offer()
        if job is None:
            return None
        self._jobs[job.name] = job
        if self._leases is not None:
            self._leases.add(job)
        self._agenda.add(job.name)
        return self._take()

    def _conclude(self) -> None:
        """Note the stages that other drivers have ended."""
        for end in self._leases.ends() if self._leases is not None else ():
            if self._agenda.outcomes[end.name].status == "waiting":
                self._agenda.conclude(end.name, end.status, end.message)
                self._tell_source(end.name)

    def explain(self, trial_id: str, reason: str, cause: Cause) -> None:
        """Note why a trial was lost. Called before `on_trial_complete`, which Tune does not give the reason."""
        self._losses[trial_id] = reason, cause

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        name = self._stages.pop(trial_id)
        if error:
            self._agenda.lose(name, *self._losses.pop(trial_id, ("unknown", "process")))
        elif result is None:
            self._agenda.lose(name, "it was stopped", "stop")
        elif result["status"] == LEASED:
            self._agenda.give_back(name)
        else:
            details = result.get("error", ""), result.get("traceback", ""), result.get("time_total_s", 0.0)
            self._agenda.finish(name, result["status"], *details)
        self._record(name, self._agenda.outcomes[name])
        self._tell_source(name)

    def _tell_source(self, name: str) -> None:
        outcome = self._agenda.outcomes[name]
        if name in self._jobs and outcome.status != "waiting" and self._source is not None:
            self._source.ended(name, outcome)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        # This keeps Tune from adding its own limiter, which loses trials that it did not create.
        return True

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the store is the only state."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: every launch makes a new plan."""


def _loss(trial: Trial) -> tuple[str, Cause | None]:
    """Return why a trial was lost, in one line, and the cause if the error that Tune has just noted tells it."""
    error = _noted(trial)
    if error is None:
        return "Tune gave no reason", None
    inner = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(inner, LostRank):
        return shortened(str(inner)), None if inner.cause == "process" else inner.cause
    if isinstance(inner, Drained):
        return shortened(str(inner)), None
    cause = cause_of(error)
    return brief(error), None if cause == "process" else cause


def _noted(trial: Trial) -> BaseException | None:
    """The error that Tune has noted for a trial."""
    path = trial.pickled_error_file
    if not path or not Path(path).exists():
        return None
    error = cloudpickle.loads(Path(path).read_bytes())
    return error if isinstance(error, BaseException) else None


class GangScheduler(FIFOScheduler):
    """First in, first out. Notes why a trial was lost, drains, stops and kills trials, and releases an idle gang.

    Tune keeps at most one actor without a trial, for the next stage. Its GPUs stay reserved, and so does a node of an
    autoscaled cluster. The actor is therefore released after `idle_seconds`.
    """

    def __init__(
        self, searcher: StageSearcher, drain: Drain, idle_seconds: float, source: StageSource | None = None
    ) -> None:
        super().__init__()
        self._searcher, self._drain, self._idle_seconds, self._source = searcher, drain, idle_seconds, source
        self._idle_since: float | None = None
        self._heard: dict[Trial, float] = {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        self._drain.on_result(trial, result["nodes"])
        self._heard[trial] = time.monotonic()
        if self._source is not None and not result["done"]:
            stage, actor = trial.config["stage"], actor_of(trial)
            if self._source.reported(stage, result) and actor is not None:
                # Tune's own stop would reuse the actor while its gang is still training.
                actor.halt.remote(stage)
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._drain.on_end(trial)
        self._heard.pop(trial, None)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        reason, cause = _loss(trial)
        if self._is_silent(trial):
            reason, cause = f"its process has not reported for {SILENT_SECONDS:.0f} s", "stalled"
        self._heard.pop(trial, None)
        self._searcher.explain(trial.trial_id, reason, self._drain.on_loss(trial, cause))

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        controller = controller_of(tune_controller)
        self._drain.poll(controller)
        self._kill_silent_trials()
        self._release_idle_gang(controller)
        # None: pending trials start in the order in which the searcher offered them.
        return None

    def _kill_silent_trials(self) -> None:
        """Kill the trials whose own process is frozen. Their gangs end with them."""
        for trial in self._heard:
            actor = actor_of(trial)
            if actor is not None and self._is_silent(trial):
                ray.kill(actor)

    def _is_silent(self, trial: Trial) -> bool:
        return time.monotonic() - self._heard.get(trial, math.inf) > SILENT_SECONDS

    def _release_idle_gang(self, controller: Any) -> None:
        if not has_idle_actor(controller):
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > self._idle_seconds:
            release_idle_actors(controller)
