"""What the tests of draining share: runs of stages that walk, and what they left."""

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
    return execute(jobs, runtime=runtime, stage_function="stages:behave", **options)


def walked(job: StageJob) -> list[tuple[int, int]]:
    """(step, attempt) in the order in which a walking stage took them."""
    lines = (Path(job.store) / f"{job.name}.walked").read_text().splitlines()
    return [(int(step), int(attempt)) for step, attempt in map(str.split, lines)]


def assert_walked_on(job: StageJob) -> None:
    """Two attempts took every step once."""
    steps = walked(job)
    assert [step for step, _ in steps] == list(range(1, len(steps) + 1))
    assert {attempt for _, attempt in steps} == {0, 1}


class AtFirstStep(tune.Callback):
    """Acts, once, when a stage reports."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act: Callable[[], None] | None = act

    def on_trial_result(self, iteration: int, trials: list, trial: Trial, result: dict, **info: Any) -> None:
        if "step" in result and self.act is not None:
            act, self.act = self.act, None
            act()

    def __getstate__(self) -> dict:
        return {}
