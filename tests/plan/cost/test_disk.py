"""Room that runs need on disks."""

from stilts.encoders.sizes import shape_of
from stilts.experiment.runtime import Runtime
from stilts.plan.cost.disk import declared_trials, disk_need
from stilts.plan.cost.estimate import StageCost, stage_costs
from stilts.plan.todo import missing_jobs
from tests.plan.conftest import Expand
from tests.plan.cost.test_estimate import LARGE


def test_each_trial_holds_two_resume_states_and_staged_weights(expanded: Expand) -> None:
    expansion = expanded(targets=["xnli", "pawsx"], languages=["en"])
    costs = stage_costs(expansion.graph, missing_jobs(expansion.graph, {}, "/store", Runtime()))
    parameters = shape_of(LARGE).parameters
    end = 4 * parameters + 40 * 4000
    one, two, many = (disk_need(costs, trials) for trials in (1, 2, 64))
    assert (one.end, one.peak, one.staged) == (end, end + 32 * parameters, 4 * parameters)
    assert (two.end, two.scratch, two.staged) == (end, 64 * parameters, 8 * parameters)
    assert many.staged == 12 * parameters  # the base model's weights are staged, too
    assert many.peak == end + 64 * parameters + 4 * parameters


def test_a_search_repeats_its_largest_stage() -> None:
    costs = {"parent": StageCost(weight_bytes=4, resume_bytes=12), "tuned": StageCost(weight_bytes=4, resume_bytes=16)}
    need = disk_need(costs, 10, search=True)
    assert need.peak == 8 + 10 * (2 * 16 + 4) + 10 * 4
    assert disk_need({}, 10, search=True).peak == 0


def test_trials_at_once_as_declared(expanded: Expand) -> None:
    def declared(**fields: object) -> int | None:
        return declared_trials(expanded(**fields).experiment)

    nodes = {"l4": {"gpus": 8, "max_nodes": 8}, "head": {"cpus": 0.5}}
    assert declared() is None
    assert declared(runtime={"max_parallel": 3}) == 3
    assert declared(cluster={"nodes": nodes}) == 64
    assert declared(cluster={"nodes": nodes}, runtime={"ranks": 4}) == 16
    assert declared(cluster={"nodes": nodes}, runtime={"max_parallel": 3}) == 3
