"""A driver of its own process for the tests: `driver.py TMP STORE NAME...` runs stages without parents.

With DRIVER in the environment, the stages are leased as in a run, and the driver writes when it began and when it
started each stage, in seconds since 1970, to `DRIVER.begun` and `DRIVER.started.NAME` in the store.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune

from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.plan.job import StageJob
from stilts.run.tune_adapter.execute import execute

DRIVER = os.environ.get("DRIVER", "")


class Starts(tune.Callback):
    """Notes when each stage starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        (self.folder / f"{DRIVER}.started.{trial.config['stage']}").write_text(str(time.time()))


if __name__ == "__main__":
    folder, store, *names = sys.argv[1:]
    runtime = Runtime(accelerator="cpu")
    jobs = [StageJob(name, BaseSpec({"hub": name}), None, (), True, False, store, runtime) for name in names]
    if "RAY_ADDRESS" not in os.environ:
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    try:
        if DRIVER:
            (Path(store) / f"{DRIVER}.begun").write_text(str(time.time()))
        function, callbacks = ("stages:leased", [Starts(Path(store))]) if DRIVER else ("stages:behave", [])
        outcome = execute(jobs, runtime=runtime, stage_function=function, callbacks=callbacks)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if outcome.complete else 1)
