"""A run stops at its limit without losing work, and the next launch counts what the last one used."""

import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from stilts.experiment.machines import Cluster, NodeType
from stilts.experiment.runtime import Runtime
from stilts.ledger.spending import Spending, read_spending
from stilts.plan.job import StageJob
from stilts.run.cluster.drain import Brake
from stilts.run.display import Display
from stilts.run.meter import NO_LIMITS, Limits, Meter
from stilts.run.tune_adapter.execute import Outcome
from stilts.storage.local import LocalStore
from tests.run.walks import AtFirstStep, assert_walked_on, run

pytestmark = pytest.mark.usefixtures("local_ray")

RUNTIME = Runtime(accelerator="cpu", max_retries=0)
NODE = NodeType(cpus=3, price_per_hour=36.0)
CLUSTER = Cluster(nodes={"head": NodeType(min_nodes=1, price_per_hour=3.6), "node": NODE})
"""The test's one node costs a cent a second, and what is beside it a tenth of that."""


def launch(
    jobs: list[StageJob], more: Callable[[Spending], Limits] = lambda spent: NO_LIMITS
) -> tuple[Outcome, Meter, str]:
    """A run whose limits are set when its first stage reports, for nobody knows how long the start takes."""
    brake, console = Brake(), Console(record=True, width=200, file=io.StringIO())
    with Meter(LocalStore(Path(jobs[0].store)), "grid", RUNTIME, CLUSTER, NO_LIMITS, brake) as meter:

        def limit() -> None:
            meter.limits = more(meter.spent)

        callbacks = [meter, AtFirstStep(limit)]
        shown = partial(Display, console=console, spent=meter.describe)
        outcome = run(*jobs, runtime=RUNTIME, brake=brake, callbacks=callbacks, display=shown)
    return outcome, meter, console.export_text()


def test_the_limit_stops_the_run_and_a_higher_one_goes_on(make_job: Callable[..., StageJob]) -> None:
    jobs = [make_job("walk-limited"), make_job("walk-beside"), make_job("ok-after", "walk-limited")]
    outcome, meter, said = launch(jobs, lambda spent: Limits(gpu_hours=spent.gpu_hours + 3 / 3600, cost=100.0))
    assert str(outcome.stopped).startswith("the limit is reached: ")
    assert "(--max-gpu-hours)" in str(outcome.stopped)
    assert {stage.status for stage in outcome.stages.values()} == {"waiting"}
    assert re.search(r"of 3 done.*; \d\.\d\d [CG]PU-hours, \d+\.\d\d USD]", said), "spent beside done"

    store = LocalStore(Path(jobs[0].store))
    stored = read_spending(store, "grid", "USD")
    assert stored == meter.spent
    assert stored.launches == 1
    # Two ranks share the node, which is paid for once; they need not have come and gone together.
    held, paid = stored.gpu_hours * 3600, stored.cost / 0.011
    assert held / 2 <= paid * 1.01
    assert paid <= held * 1.2 + 10

    again = Meter(store, "grid", RUNTIME, CLUSTER, meter.limits, Brake())
    assert again.reached(), "all launches count together"
    outcome, meter, _ = launch(jobs)
    assert outcome.complete
    for job in jobs[:2]:
        assert_walked_on(job)
    assert meter.spent.launches == 2
    assert meter.spent.gpu_hours > stored.gpu_hours
