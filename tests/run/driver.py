"""A driver of its own process for the tests: `driver.py TMP STORE NAME...` runs stages without parents."""

import os
import sys

import ray

from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.plan.job import StageJob
from stilts.run.tune_adapter.execute import execute

if __name__ == "__main__":
    folder, store, *names = sys.argv[1:]
    runtime = Runtime(accelerator="cpu")
    jobs = [StageJob(name, BaseSpec({"hub": name}), None, (), True, False, store, runtime) for name in names]
    if "RAY_ADDRESS" not in os.environ:
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    try:
        outcome = execute(jobs, runtime=runtime, stage_function="stages:behave")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if outcome.complete else 1)
