"""Helpers for the tests of draining: run `walk` stages (see `stages.py`) and read the steps that they took."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from stilts.experiment.runtime import Runtime
from stilts.plan.job import StageJob
from stilts.run.tune_adapter.execute import Outcome, execute

RUNTIME = Runtime(accelerator="cpu", max_retries=0)


def run(*jobs: StageJob, runtime: Runtime = RUNTIME, **options: Any) -> Outcome:
    """Run jobs on Ray with the stage functions of `stages.py`."""
    return execute(jobs, runtime=runtime, stage_function="stages:behave", **options)


def walked(job: StageJob) -> list[tuple[int, int]]:
    """(step, attempt) of every step of a `walk` stage, in the order in which the steps were taken."""
    lines = (Path(job.store) / f"{job.name}.walked").read_text().splitlines()
    return [(int(step), int(attempt)) for step, attempt in map(str.split, lines)]


def assert_walked_on(job: StageJob) -> None:
    """Assert that two attempts together took every step exactly once, in order."""
    steps = walked(job)
    assert [step for step, _ in steps] == list(range(1, len(steps) + 1))
    assert {attempt for _, attempt in steps} == {0, 1}


class AtFirstStep(tune.Callback):
    """Callback that calls `act` once, when the first stage reports a step."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act: Callable[[], None] | None = act

    def on_trial_result(self, iteration: int, trials: list, trial: Trial, result: dict, **info: Any) -> None:
        if "step" in result and self.act is not None:
            act, self.act = self.act, None
            act()

    def __getstate__(self) -> dict:
        return {}
