"""`stilts`, with the stage function of `trace` in the ranks: `python -m tests.chaos.driver run X.yaml`."""

from functools import partial

from stilts import cli
from stilts.execute import launch
from stilts.execute.run import execute

if __name__ == "__main__":
    launch.execute = partial(execute, stage_function="tests.chaos.trace:run_stage")  # type: ignore[assignment]
    cli.main()
