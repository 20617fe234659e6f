"""Factors fitted to stages whose seconds are those of known rates."""

import random
from dataclasses import replace
from typing import Any

import pytest

from stilts.plan.cost.calibrate import Observation, fit, measure
from stilts.plan.cost.hardware import HARDWARE
from stilts.plan.cost.rates import Factors, Rates
from stilts.plan.cost.work import Pass, Work
from stilts.plan.expand import Expansion
from stilts.plan.summary import make_plan
from tests.plan.conftest import BEST, Expand

ASSUMED = Rates(HARDWARE["CPU"])
TRUE = Factors(arithmetic=2.0, memory=0.5, host=3.0, communication=1.0, evaluation=1.5, setup=4.0)


def observations(rates: Rates, count: int, noise: float = 0.0) -> list[Observation]:
    """Stages in which arithmetic, memory or launches are most of the work, as slow as `TRUE` says."""
    chance, found = random.Random(0), []
    true = replace(rates, factors=TRUE)
    faster = (2000, 100) if rates.hardware.is_gpu else (1, 1)  # so that each component matters in some stages
    for _ in range(count):
        training = Pass(
            chance.uniform(0, 5e12 * faster[0]), chance.uniform(0, 5e11 * faster[1]), chance.uniform(0, 5e6)
        )
        work = Work("fp32", training, watching=Pass(flops=1e11), moved=1e8, starts=1)
        watching = true.evaluation_seconds(work.watching, "fp32", 0)
        seconds = true.training_seconds(work) * (1 + chance.uniform(-noise, noise)) + watching
        found.append(Observation(rates, work, ("t",), seconds, watching, true.setup_seconds(work)))
    return found


@pytest.mark.parametrize("rates", [ASSUMED, Rates(HARDWARE["A100"])])
def test_known_factors_are_found(rates: Rates) -> None:
    found = fit(observations(rates, 60)).factors
    assert found.arithmetic == pytest.approx(2.0, rel=0.1)
    assert found.memory == pytest.approx(0.5, rel=0.2)
    assert found.host == pytest.approx(3.0, rel=0.1)
    assert found.evaluation == pytest.approx(1.5, rel=0.1)
    assert found.setup == pytest.approx(4.0)


def test_outliers_hardly_count() -> None:
    stages = observations(ASSUMED, 60, noise=0.05)
    spoilt = [replace(one, seconds=8 * one.seconds) if i % 10 == 0 else one for i, one in enumerate(stages)]
    found = fit(spoilt).factors
    assert found.arithmetic == pytest.approx(2.0, rel=0.2)
    assert found.host == pytest.approx(3.0, rel=0.2)


def test_one_stage_moves_all_components_alike() -> None:
    (one,) = observations(ASSUMED, 1)
    found = fit([one])
    assert found.factors.arithmetic == pytest.approx(found.factors.host, rel=0.05)
    assert replace(ASSUMED, factors=found.factors).training_seconds(one.work) == pytest.approx(
        one.seconds - (one.watching or 0), rel=0.05
    )


def record(expansion: Expansion, task: str, seconds: float, device: str, **speed: Any) -> dict[str, Any]:
    node = next(node for node in expansion.graph.stages() if task in node.slug)
    return {
        "key": node.key,
        "runtime": {"ranks": 1, "unheard_of": 1},
        "train": {"seconds": seconds, "steps": 63},
        "speed": {"kind": "gpu", "device": device, **speed},
    }


def test_plans_use_what_the_store_measured_on_the_same_hardware(expanded: Expand) -> None:
    nodes = {"a": {"gpus": 8, "accelerator_type": "A100"}, "h": {"gpus": 8, "accelerator_type": "H100"}}
    expansion = expanded(targets=["xnli", "pawsx", "udpos"], cluster={"nodes": nodes})
    before = make_plan(expansion, {}, "/store", [])
    assert before.rates.source == "assumed: 65% of the peak of one A100"
    xnli = next(key for key, job in before.jobs.items() if job.trained_tasks == ("xnli",))
    trained = before.rates.training_seconds(before.costs[xnli].work)
    records = [record(expansion, "xnli", 5 * trained, "NVIDIA A100-SXM4-40GB"), {}, {"key": "of another experiment"}]
    plan = make_plan(expansion, {}, "/store", records)
    assert plan.rates.source == "measured on 1 stage of this store"
    assert plan.rates.training_seconds(plan.costs[xnli].work) == pytest.approx(5 * trained, rel=0.05)
    assert plan.node_seconds["h"] == before.node_seconds["h"], "no stage was trained on it"
    assert plan.node_seconds["a"] == plan.seconds


def test_measured_rates_replace_declared_ones_where_they_are_of_the_same_machines(expanded: Expand) -> None:
    def plan(nodes: dict[str, Any], *records: dict[str, Any]) -> Any:
        expansion = expanded(cluster={"nodes": nodes})
        return make_plan(expansion, {}, "/store", records)

    node = {"gpus": 1, "flops": 1e12}
    assert plan({"n": node}).rates.source == "declared in cluster:"
    found = record(expanded(), "xnli", 100.0, "NVIDIA L4")
    only = plan({"n": node, "head": {"cpus": 0.5}}, found)
    assert only.rates.source == "measured on 1 stage of this store"
    assert only.rates.hardware.name == "L4"
    several = plan({"n": node, "m": {**node, "flops": 2e12}}, found)
    assert {rates.source for rates in several.node_rates.values()} == {"declared in cluster:"}


def test_records_of_other_devices_and_without_times_do_not_count(expanded: Expand) -> None:
    expansion = expanded(runtime={"accelerator": "cpu"})
    found = record(expansion, "xnli", 100.0, "NVIDIA L4")
    untimed = {**found, "train": {}, "speed": {"kind": "cpu"}}
    assert measure(expansion.graph, [found, untimed], gpu=False) == {}
    assert make_plan(expansion, {}, "/store", [found, untimed]).rates.source == "assumed: 65% of the peak of one core"


def test_dev_evaluations_are_no_training(expanded: Expand) -> None:
    """A stage of which half the time was dev evaluation trains twice as fast as one without."""
    expansion = expanded(recipe=BEST)
    curve = {"dev": {"curve": [[10, 50.0], [20, 60.0]]}}
    half = record(expansion, "xnli", 200.0, "NVIDIA L4", evaluation_seconds=100.0) | curve
    none = record(expansion, "xnli", 200.0, "NVIDIA L4", evaluation_seconds=0.0) | curve
    (slow,), (fast,) = (measure(expansion.graph, [one], gpu=True).values() for one in (none, half))
    assert fast.factors.arithmetic == pytest.approx(slow.factors.arithmetic / 2, rel=0.05)
