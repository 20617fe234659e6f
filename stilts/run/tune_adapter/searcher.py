"""What Tune asks: which stage is next (searcher), and which trial gets what (scheduler).

A lost attempt is offered again as a new trial, rather than retried by Tune: Tune 2.60 gives a trial up for good when
the warm process it was to reuse had died meanwhile, and may wait for ever on one that was being reset.
"""

import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from stilts.plan.job import StageJob
from stilts.run.cluster.drain import Drain
from stilts.run.gang.gang import LostRank, StoreAway
from stilts.run.tune_adapter.trial import Drained
from stilts.schedule.agenda import Agenda, Cause, StageOutcome


class StageSource(Protocol):
    """Where stages come from that are not known when the run begins. Its methods are called in Tune's loop.

    Attributes:
        uri: of the store that they are in.
    """

    uri: str

    def offer(self) -> StageJob | None:
        """One more stage to run, whose parent is done; None where there is none for now: asked again when one ends."""

    def reported(self, stage: str, result: Mapping[str, Any]) -> bool:
        """A stage that it offered has reported; whether it is to stop."""

    def ended(self, stage: str, outcome: StageOutcome) -> None:
        """A stage that it offered has ended; not told of one that waits to be tried again."""


class StageSearcher(Searcher):
    """Offers the agenda's stages, as many at once as the capacity allows.

    Args:
        agenda: is told of every stage that ends.
        capacity: trials that may run or wait for resources now.
        source: offers more where the agenda has none ready.
    """

    def __init__(self, agenda: Agenda, capacity: Callable[[], int], source: StageSource | None = None) -> None:
        super().__init__()
        self._agenda, self._capacity, self._source = agenda, capacity, source
        self._jobs: dict[str, StageJob] = {}
        self._stages: dict[str, str] = {}
        self._losses: dict[str, tuple[str, Cause]] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        if self._agenda.exhausted and (self._source is None or self._agenda.stopped):
            return Searcher.FINISHED
        if len(self._agenda.running) >= self._capacity():
            return None
        name = self._agenda.take() or self._offered()
        if name is None:
            return None if self._agenda.running else Searcher.FINISHED
        self._stages[trial_id] = name
        return {"stage": name, **({"job": self._jobs[name]} if name in self._jobs else {})}

    def _offered(self) -> str | None:
        """A stage that the source brings."""
        job = None if self._source is None or self._agenda.stopped else self._source.offer()
        if job is None:
            return None
        self._jobs[job.name] = job
        self._agenda.add(job.name)
        return self._agenda.take()

    def explain(self, trial_id: str, reason: str, cause: Cause) -> None:
        """Why a trial was lost; comes before `on_trial_complete`, which is not told."""
        self._losses[trial_id] = reason, cause

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        name = self._stages.pop(trial_id)
        if error:
            self._agenda.lose(name, *self._losses.pop(trial_id, ("unknown", "process")))
        elif result is None:
            self._agenda.lose(name, "it was stopped", "stop")
        else:
            told = result.get("error", ""), result.get("traceback", ""), result.get("time_total_s", 0.0)
            self._agenda.finish(name, result["status"], *told)
        outcome = self._agenda.outcomes[name]
        if name in self._jobs and outcome.status != "waiting" and self._source is not None:
            self._source.ended(name, outcome)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        # Tune's own limiter forgets trials that it did not create.
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the ledger."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: every launch plans anew."""


def _reason(trial: Trial) -> tuple[str, str]:
    """The telling line of the error that Tune has just noted for a trial (of a traceback: the last), and its class."""
    text = Path(trial.error_file).read_text() if trial.error_file else ""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\t")]
    kind, separator, message = (lines or ["Tune gave no reason"])[-1].partition(": ")
    name = kind.rpartition(".")[2] if separator else ""
    ours = name in (LostRank.__name__, StoreAway.__name__, Drained.__name__)
    return textwrap.shorten(message if ours else kind + separator + message, 240, placeholder=" ..."), name


class GangScheduler(FIFOScheduler):
    """First in, first out; passes on why a trial was lost, has trials drained or stopped, and lets an idle gang go.

    Tune keeps at most one process without work, in case that a stage comes. Its GPUs stay reserved, and with them the
    node of an autoscaled cluster: after `idle_seconds` they are given back. The attributes of the controller that this
    takes are private to Ray; tests/run pin them.
    """

    def __init__(
        self, searcher: StageSearcher, drain: Drain, idle_seconds: float, source: StageSource | None = None
    ) -> None:
        super().__init__()
        self._searcher, self._drain, self._idle_seconds, self._source = searcher, drain, idle_seconds, source
        self._idle_since: float | None = None

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        self._drain.seen(trial, result["nodes"])
        if self._source is not None and not result["done"]:
            stage, actor = trial.config["stage"], trial.temporary_state.ray_actor
            if self._source.reported(stage, result) and actor is not None:
                # Not through Tune's own stop, which would hand the process on while its gang still trains.
                actor.halt.remote(stage)
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._drain.ended(trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        reason, name = _reason(trial)
        cause = self._drain.cause(trial)
        self._searcher.explain(trial.trial_id, reason, "store" if name == StoreAway.__name__ else cause)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        self._drain.tick(tune_controller._tune_controller)
        self._let_idle_gang_go(tune_controller._tune_controller)
        # None: pending trials start in the order in which the searcher offered them.
        return None

    def _let_idle_gang_go(self, controller: Any) -> None:
        if not controller._actor_cache.num_cached_objects:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > self._idle_seconds:
            controller._cleanup_cached_actors(force_all=True)
