"""The command line of stilts, with the tracing stage function of `trace`: `python -m tests.chaos.driver run X.yaml`."""

from functools import partial

from stilts import cli
from stilts.run import launch
from stilts.run.tune_adapter.execute import execute

if __name__ == "__main__":
    launch.execute = partial(execute, stage_function="tests.chaos.trace:run_stage")  # type: ignore[assignment]
    cli.main()
