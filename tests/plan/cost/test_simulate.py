"""Simulated runs: small ones against figures calculated by hand, larger ones against invariants."""

import io
from collections.abc import Callable
from statistics import fmean
from typing import Any

import pytest
from rich.console import Console

from stilts.errors import StiltsError
from stilts.experiment.machines import Cluster
from stilts.plan.cost.price import COLD_SECONDS, WARM_SECONDS, least_seconds, price
from stilts.plan.cost.simulate import DISPATCH_SECONDS, Simulated, simulate, simulation
from stilts.plan.expand import Expansion
from stilts.plan.summary import Plan, make_plan
from stilts.show.plan import show_simulation

Expand = Callable[..., Expansion]
Planned = Callable[..., tuple[Plan, Cluster]]
FLOPS = 1e12
NODE = {"gpus": 1, "price_per_hour": 1.0, "flops": FLOPS}


@pytest.fixture
def planned(expanded: Expand) -> Planned:
    def make(
        node: dict[str, Any], runtime: dict[str, Any] | None = None, timeout: float = 5.0, **fields: Any
    ) -> tuple[Plan, Cluster]:
        given = {"intermediates": ["none", "mnli"], "targets": ["xnli", "xquad"], "languages": ["de"], **fields}
        nodes = {"nodes": {"n": {**NODE, **node}}, "idle_timeout_minutes": timeout}
        expansion = expanded(cluster=nodes, runtime=runtime or {}, **given)
        assert expansion.experiment.cluster is not None
        return make_plan(expansion, {}, "/store", []), expansion.experiment.cluster

    return make


def work(plan: Plan) -> float:
    """Hours of one rank."""
    return sum(plan.seconds.values()) / 3600


def mean(plan: Plan, cluster: Cluster, name: str, seeds: int = 30) -> float:
    return fmean(getattr(simulate(plan, cluster, seed), name) for seed in range(seeds))


def test_one_gpu_does_one_stage_after_the_other(planned: Planned) -> None:
    plan, cluster = planned({"min_nodes": 1})
    found = simulate(plan, cluster, 0)
    starts = COLD_SECONDS + (len(plan.jobs) - 1) * WARM_SECONDS + len(plan.jobs) * DISPATCH_SECONDS
    assert found.hours == pytest.approx(work(plan) + starts / 3600)
    assert found.cost == pytest.approx(found.hours)
    assert found.utilisation == pytest.approx(work(plan) / found.hours)
    assert (found.interruptions, found.lost_gpu_hours, found.not_done, found.nodes) == (0, 0, 0, 1)


def test_nodes_come_when_trials_wait_and_go_when_they_idle(planned: Planned) -> None:
    boot = 600.0
    plan, standing = planned({"min_nodes": 8, "max_nodes": 8}, seeds=list(range(4)))
    _, growing = planned({"max_nodes": 8, "boot_seconds": boot}, timeout=6.0, seeds=list(range(4)))
    stood, grew = simulate(plan, standing, 0), simulate(plan, growing, 0)
    assert (stood.nodes, grew.nodes) == (8, 8)
    # The first node boots for the base model alone, the others when its children wait.
    assert grew.hours == pytest.approx(stood.hours + 2 * boot / 3600, rel=0.05)
    hours = 8 * grew.hours
    assert hours * 0.8 < grew.cost <= hours + 8 * 0.1, "each is paid for from the request to the end of its timeout"
    short = planned({"max_nodes": 8, "boot_seconds": boot}, {"idle_seconds": 1}, timeout=0.0, seeds=list(range(4)))[1]
    assert simulate(plan, short, 0).cost < grew.cost


def test_a_zero3_gang_starts_cold_for_every_stage(planned: Planned) -> None:
    warm, cluster = planned({"min_nodes": 1})
    cold, _ = planned({"min_nodes": 1}, {"zero_stage": 3})
    longer = simulate(cold, cluster, 0).hours - simulate(warm, cluster, 0).hours - (work(cold) - work(warm))
    stages = len(warm.expansion.graph.stages())
    assert longer * 3600 == pytest.approx((stages - 1) * (COLD_SECONDS - WARM_SECONDS))


def test_a_gang_spans_nodes_and_works_as_its_ranks(planned: Planned) -> None:
    plan, cluster = planned({"min_nodes": 4, "max_nodes": 4}, {"ranks": 4})
    found = simulate(plan, cluster, 0)
    assert found.hours == pytest.approx(work(plan), rel=0.1)
    alone, _ = planned({"min_nodes": 4, "max_nodes": 4})
    assert 1 < work(alone) / work(plan) < 4, "four ranks are faster than one, but not four times"
    assert found.nodes == 4


def test_max_parallel_is_kept(planned: Planned) -> None:
    plan, cluster = planned({"min_nodes": 8, "max_nodes": 8}, {"max_parallel": 1})
    assert simulate(plan, cluster, 0).hours > work(plan)


def test_chance_is_the_seeds(planned: Planned) -> None:
    plan, cluster = planned({"max_nodes": 4, "losses_per_hour": 3.0}, seeds=list(range(8)))
    assert simulate(plan, cluster, 1) == simulate(plan, cluster, 1)
    assert simulate(plan, cluster, 1) != simulate(plan, cluster, 2)


@pytest.mark.parametrize("node", [{}, {"losses_per_hour": 3.0}, {"losses_per_hour": 3.0, "notice_seconds": 120}])
@pytest.mark.parametrize("ranks", [1, 3])
def test_what_must_hold_of_every_run(planned: Planned, node: dict[str, Any], ranks: int) -> None:
    shape = {"gpus": 4, "max_nodes": 3, "boot_seconds": 60}
    plan, cluster = planned({**shape, **node}, {"ranks": ranks, "checkpoint_seconds": 30}, seeds=list(range(6)))
    for seed in range(5):
        found = simulate(plan, cluster, seed)
        assert found.hours >= least_seconds(plan, cluster) / 3600
        assert 0 < found.utilisation < 1
        assert found.not_done == 0
        starts = len(plan.jobs) * ranks * COLD_SECONDS / 3600
        assert 0 <= found.gpu_hours - found.lost_gpu_hours - ranks * work(plan) + 1e-9 <= starts
        assert found.gpu_hours <= 4 * found.cost, "paid for at a price of 1"


def test_the_price_is_what_simulations_cost_on_average(planned: Planned) -> None:
    """Interruptions, work lost and cost agree with the arithmetic of `price`, as far as it goes."""
    node = {"min_nodes": 2, "max_nodes": 2, "losses_per_hour": 1.0}
    plan, cluster = planned(node, {"checkpoint_seconds": 60}, seeds=list(range(12)))
    expected, _ = price(plan, cluster)
    assert mean(plan, cluster, "interruptions") == pytest.approx(expected.interruptions, rel=0.2)
    assert mean(plan, cluster, "lost_gpu_hours") == pytest.approx(expected.lost_gpu_hours, rel=0.25)
    assert mean(plan, cluster, "cost") == pytest.approx(expected.cost, rel=0.1)


def test_a_notice_saves_what_would_be_lost(planned: Planned) -> None:
    node = {"max_nodes": 2, "losses_per_hour": 3.0}
    plan, sudden = planned(node, seeds=list(range(6)))
    _, warned = planned({**node, "notice_seconds": 120}, seeds=list(range(6)))
    _, hurried = planned({**node, "notice_seconds": 5}, seeds=list(range(6)))
    lost = [mean(plan, cluster, "lost_gpu_hours") for cluster in (sudden, warned, hurried)]
    assert lost[1] < lost[0] / 2
    assert lost[2] == pytest.approx(lost[0], rel=0.3)


def test_a_stage_longer_than_its_nodes_live_goes_on_from_resume_states_or_fails(planned: Planned) -> None:
    node = {"min_nodes": 1, "losses_per_hour": 60.0}
    plan, cluster = planned(node, {"checkpoint_seconds": 5}, targets=["xnli"], intermediates=["none"])
    assert simulate(plan, cluster, 0).not_done == 0
    plan, cluster = planned(node, {"checkpoint_seconds": 10_000}, targets=["xnli"], intermediates=["none"])
    assert max(plan.seconds.values()) > 100
    assert max(simulate(plan, cluster, seed).not_done for seed in range(20)) > 0


def test_twice_the_gpus_take_half_the_time(planned: Planned) -> None:
    hours = []
    for nodes in (4, 8):
        plan, cluster = planned({"min_nodes": nodes, "max_nodes": nodes}, seeds=list(range(100)))
        hours.append(simulate(plan, cluster, 0).hours)
    assert hours[0] / hours[1] == pytest.approx(2, rel=0.03)


def test_figures_over_the_seeds(planned: Planned) -> None:
    plan, cluster = planned({"losses_per_hour": 1.0}, seeds=list(range(4)))
    found = simulation(plan)
    runs = [simulate(plan, cluster, seed) for seed in range(found["seeds"])]
    assert found["seeds"] == 5
    assert found["hours"]["mean"] == pytest.approx(fmean(run.hours for run in runs), abs=1e-4)
    assert (found["interruptions"]["least"], found["interruptions"]["most"]) == (
        min(run.interruptions for run in runs),
        max(run.interruptions for run in runs),
    )
    assert set(Simulated.__annotations__) < set(found)
    console = Console(width=120, record=True, file=io.StringIO())
    show_simulation(found, console)
    text = console.export_text()
    assert "cost (USD)" in text
    assert "stages not done" not in text
    assert "5 runs" in text


def test_without_chance_one_run_is_enough(planned: Planned) -> None:
    plan, _ = planned({})
    assert simulation(plan)["seeds"] == 1


def test_without_machines_there_is_nothing_to_simulate_on(expanded: Expand) -> None:
    with pytest.raises(StiltsError, match="describe the machines"):
        simulation(make_plan(expanded(), {}, "/store", []))


def test_nothing_to_do_takes_no_time(planned: Planned) -> None:
    plan, cluster = planned({"min_nodes": 1})
    plan.jobs.clear()
    plan.costs.clear()
    assert simulate(plan, cluster, 0).hours == 0
