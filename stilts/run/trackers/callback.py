"""Trackers: a Tune callback that passes the reports of stages to the trackers of a run, in a thread of its own.

Ray's own callbacks are not used: they treat a restarted trial as another run, call servers from Tune's loop or start
two actors per trial, and do not log evaluations.
"""

import contextlib
import math
import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from stilts.errors import StiltsError
from stilts.experiment.secrets import redact
from stilts.identity.stage import StageSpec
from stilts.ledger.record import read_evaluation, read_stage
from stilts.plan.expand import Expansion
from stilts.plan.job import StageJob
from stilts.run.stage.ending import LEASED
from stilts.run.trackers.base import Tracked, Tracker
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store
from stilts.tasks.score import main_number
from stilts.waiting import noticed

CLOSE_SECONDS = 120.0
"""Time for the trackers to send everything at the end of a run."""
_REPORTED = {
    "loss": "loss",
    "gradient_norm": "gradient_norm",
    "learning_rate": "learning_rate",
    "tokens_per_second": "tokens_per_second",
    "gpu_use": "gpu/use",
    "gpu_memory": "gpu/memory",
}
"""Reported fields that are logged for a step, with their names in the tracker."""


class Trackers(tune.Callback):
    """Logs loss, gradient norm, learning rate, speed and GPU use of each step, and the scores on dev and at the end.

    Use it as the context of the run. A tracker that fails is reported and not used any more; the run continues.

    Args:
        trackers: by name. Only the thread of this object uses them.
        stages: by name.
        warn: tells the user that a tracker has failed.
    """

    def __init__(
        self, trackers: Mapping[str, Tracker], stages: Mapping[str, Tracked], store: Store, warn: Callable[[str], None]
    ) -> None:
        self._trackers, self._stages, self._store, self._warn = dict(trackers), stages, store, warn
        self._logged: dict[str, int] = {}
        self._dev: dict[str, int] = {}
        self._events: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True, name="trackers")

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore them later, which stilts never does.
        return {}

    def __enter__(self) -> "Trackers":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._events.put(self._stop)
        self._events.put(None)
        self._thread.join(CLOSE_SECONDS)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if "loss" in result:
            self._events.put(partial(self._report, trial.config["stage"], dict(result)))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if trial.last_result["status"] != LEASED:
            self._events.put(partial(self._end, trial.config["stage"], trial.last_result["status"]))

    # --- in the thread -----------------------------------------------------------------------------------

    def _work(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                event()
            except Exception as error:  # an error in this module, which must not end the run
                self._warn(f"what stages report could not be tracked: {redact(f'{type(error).__name__}: {error}')}")
                return

    def _report(self, name: str, result: Mapping[str, Any]) -> None:
        step = int(result["step"])
        if name not in self._logged:
            self._begin(name, step)
        if step > self._logged[name]:
            self._log(name, step, {shown: result[fact] for fact, shown in _REPORTED.items() if fact in result})
            self._logged[name] = step
        self._log_dev(name, result.get("curve", ()))

    def _begin(self, name: str, step: int | None) -> None:
        self._each(lambda tracker: tracker.begin(self._stages[name], step))
        self._logged[name] = self._dev[name] = 0

    def _log_dev(self, name: str, curve: Any) -> None:
        for step, score in curve:
            if step > self._dev[name]:
                self._log(name, step, {"dev/score": score})
                self._dev[name] = step

    def _log(self, name: str, step: int, values: Mapping[str, float]) -> None:
        finite = {what: float(value) for what, value in values.items() if math.isfinite(value)}
        self._each(lambda tracker: tracker.log(self._stages[name], step, finite))

    def _end(self, name: str, status: str) -> None:
        record, scores = self._outcome(name) if status == "done" else ({}, {})
        trained = self._stages[name].trains and "train" in record
        if name not in self._logged:
            if not (scores or trained):
                return
            self._begin(name, 1 if trained else None)
        if trained:  # the last steps, which were not reported
            for last, loss in record["train"]["losses"][-1:]:
                if last > self._logged[name]:
                    self._log(name, last, {"loss": loss})
            self._log_dev(name, record["dev"]["curve"])
        step = record.get("train", {}).get("steps", self._logged[name])
        self._each(lambda tracker: tracker.end(self._stages[name], status, step, scores))
        del self._logged[name]

    def _outcome(self, name: str) -> tuple[dict[str, Any], dict[str, float]]:
        """Record of a stage, and the main scores of its evaluations on clean data."""
        with contextlib.suppress(StiltsError, OSError):
            record = read_stage(self._store, name) or {}
            wanted = [spec for spec in self._stages[name].evaluations if spec.condition is None]
            found = list(parallel_map(self._store, lambda spec: read_evaluation(self._store, name, spec), wanted))
            scores = {
                f"{spec.split}/{spec.task}/{spec.language}": main_number(spec.task, evaluation["metrics"])
                for spec, evaluation in zip(wanted, found, strict=True)
                if evaluation is not None and evaluation["metrics"]
            }
            return record, scores
        return {}, {}

    def _stop(self) -> None:
        """Mark the runs of stages that have not ended as stopped; the next launch continues them."""
        for name in list(self._logged):
            self._end(name, "stopped")

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                with noticed(f"the tracker {name}"):
                    tell(tracker)
            except Exception as error:
                del self._trackers[name]
                why = redact(f"{type(error).__name__}: {error}")
                self._warn(f"the tracker {name} failed, and the run continues without it: {why}")


def tracked_stages(expansion: Expansion, jobs: Mapping[str, StageJob]) -> dict[str, Tracked]:
    """Return what trackers get to know of each stage, by name.

    Args:
        jobs: by key.
    """
    cells: dict[str, list[str]] = {}
    for cell in expansion.cells:
        for key in cell.stages:
            cells.setdefault(key, []).append(f"{cell.model}/{cell.intermediate}/{cell.target}/s{cell.seed}")
    return {
        job.name: Tracked(job.name, key, tuple(cells.get(key, ())), _settings(job), job.evaluations, not job.trained)
        for key, job in jobs.items()
    }


def _settings(job: StageJob) -> dict[str, Any]:
    if not isinstance(job.spec, StageSpec):
        return {}
    recipe = {f"recipe.{name}": value for name, value in job.spec.recipe.model_dump().items() if value is not None}
    return {"tasks": "+".join(part.task for part in job.spec.parts), "parent": str(job.parent), **recipe}
