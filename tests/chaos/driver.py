"""The command line of stilts, with the tracing stage function of `trace`: `python -m tests.chaos.driver run X.yaml`."""

from functools import partial

from stilts import cli
from stilts.run import launch
from stilts.run.cluster import head_watch
from stilts.run.tune_adapter.execute import execute
from stilts.search import launch as search
from tests.chaos import trace

LOST_SECONDS = 6.0
"""Time until a driver ends whose GCS server is lost: less than the 10 s after which Ray ends it (`nodes.SETTINGS`)."""

if __name__ == "__main__":
    for module in (launch, search):
        module.execute = partial(execute, stage_function="tests.chaos.trace:run_stage")  # type: ignore[assignment]
    trace.shorten_leases()
    head_watch._LIMITS[head_watch.CONTROL] = LOST_SECONDS
    cli.main()
