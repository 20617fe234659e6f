"""Prices of plans, compared with figures calculated by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from stilts.experiment.machines import Cluster
from stilts.plan.cost.price import COLD_SECONDS, least_seconds, price, priced, save_seconds
from stilts.plan.expand import Expansion
from stilts.plan.summary import Plan, make_plan, summarize

Expand = Callable[..., Expansion]
FLOPS = 1e12
"""So slow that a stage takes minutes."""


@pytest.fixture
def planned(expanded: Expand) -> Callable[..., tuple[Plan, Cluster]]:
    def make(nodes: dict[str, Any], runtime: dict[str, Any] | None = None, **fields: Any) -> tuple[Plan, Cluster]:
        given = {"intermediates": ["none", "mnli"], "seeds": [1, 2], "languages": ["sw"], **fields}
        expansion = expanded(cluster={"nodes": nodes}, runtime=runtime or {}, **given)
        assert expansion.experiment.cluster is not None
        return make_plan(expansion, {}, "/store", []), expansion.experiment.cluster

    return make


def seconds(plan: Plan) -> list[float]:
    return list(plan.seconds.values())


def test_without_interruptions_it_is_hours_times_price(planned: Callable) -> None:
    plan, cluster = planned({"n": {"gpus": 4, "price_per_hour": 8.0, "flops": FLOPS}})
    whole, alone = price(plan, cluster)
    assert whole == alone["n"]
    assert whole.gpu_hours == pytest.approx(sum(seconds(plan)) / 3600)
    assert whole.cost == pytest.approx(whole.gpu_hours * 2.0)
    assert (whole.lost_gpu_hours, whole.interruptions) == (0, 0)
    assert summarize(plan)["speed"] == {"hardware": "A100", "flops": FLOPS, "source": "declared in cluster:"}


def test_an_interruption_undoes_half_of_what_lies_between_two_resume_states(planned: Callable) -> None:
    node = {"gpus": 1, "price_per_hour": 1.0, "losses_per_hour": 0.5, "boot_seconds": 360, "flops": FLOPS}
    plan, cluster = planned({"n": node}, {"checkpoint_seconds": 20})
    found, _ = price(plan, cluster)
    lost = sum(s * 0.5 / 3600 * (min(20, s) / 2 + COLD_SECONDS) for s in seconds(plan))
    assert found.lost_gpu_hours == pytest.approx(lost / 3600)
    assert found.gpu_hours == pytest.approx((sum(seconds(plan)) + lost) / 3600)
    assert found.interruptions == pytest.approx(found.gpu_hours * 0.5)
    assert found.cost == pytest.approx(found.gpu_hours + (1 + found.interruptions) * 0.1)


def test_a_notice_that_suffices_saves_the_work(planned: Callable) -> None:
    node = {"gpus": 1, "losses_per_hour": 0.5, "flops": FLOPS}
    plan, cluster = planned({"n": {**node, "notice_seconds": 120}})
    longest = max(save_seconds(cost) for cost in plan.costs.values())
    assert 20 < longest < 40, "8 GB at 300 MB/s"
    starts = sum(s * 0.5 / 3600 * COLD_SECONDS for s in seconds(plan)) / 3600
    assert price(plan, cluster)[0].lost_gpu_hours == pytest.approx(starts)
    short, cluster = planned({"n": {**node, "notice_seconds": 10}})
    assert price(short, cluster)[0].lost_gpu_hours > starts


def test_types_do_their_share_by_speed_and_a_head_costs_while_the_run_lasts(planned: Callable) -> None:
    slow = {"gpus": 1, "max_nodes": 2, "price_per_hour": 1.0, "flops": FLOPS}
    nodes = {"slow": slow, "fast": {**slow, "flops": 3 * FLOPS, "price_per_hour": 6.0}}
    plan, cluster = planned(nodes)
    whole, alone = price(plan, cluster)
    times = sum(plan.node_seconds["slow"].values()) / sum(plan.node_seconds["fast"].values())
    assert 2.5 < times < 3.0, "arithmetic is most of the time at this speed, and a third of it"
    assert alone["fast"].cost == pytest.approx(6 / times * alone["slow"].cost)
    share = times / (1 + times)
    assert whole.cost == pytest.approx((1 - share) * alone["slow"].cost + share * alone["fast"].cost)
    plan, cluster = planned({**nodes, "head": {"min_nodes": 1, "price_per_hour": 3.6}})
    headed, _ = price(plan, cluster)
    assert headed.cost == pytest.approx(whole.cost + least_seconds(plan, cluster) / 1000)


def test_the_lower_bound_is_the_chain_or_the_work(planned: Callable) -> None:
    node = {"gpus": 1, "flops": FLOPS}
    plan, one = planned({"n": node})
    assert least_seconds(plan, one) == pytest.approx(sum(seconds(plan)))
    plan, many = planned({"n": {**node, "max_nodes": 100}})
    by_name = {plan.jobs[key].name.rsplit("-", 1)[0]: took for key, took in plan.seconds.items()}
    chain = ("", "-mnli-s1", "-mnli-xnli-s1")
    assert least_seconds(plan, many) == pytest.approx(sum(by_name.get(f"xlm-roberta-large{n}", 0) for n in chain))
    plan, limited = planned({"n": {**node, "max_nodes": 100}}, {"max_parallel": 1})
    assert least_seconds(plan, limited) == pytest.approx(sum(seconds(plan)))


def test_without_the_section_there_is_no_price(expanded: Expand) -> None:
    assert priced(make_plan(expanded(), {}, "/store", [])) is None
