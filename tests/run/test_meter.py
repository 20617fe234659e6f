"""What a run uses is counted as Ray's tables tell it, and stops the run at a limit."""

from typing import Any

import pytest

from stilts.experiment.machines import Cluster, NodeType
from stilts.experiment.runtime import Runtime
from stilts.ledger.spending import Spending
from stilts.run.meter import Limits, held_by, price_of

JOB = "01000000"


def group(state: str, *nodes: str) -> dict[str, Any]:
    return {"state": state, "bundles_to_node_id": dict(enumerate(nodes))}


def test_what_this_jobs_gangs_hold() -> None:
    table = {
        f"a{JOB}": group("CREATED", "n1", "n1", "n2"),
        f"b{JOB}": group("CREATED", "n1"),
        f"c{JOB}": group("PENDING", "", ""),
        f"d{JOB}": group("REMOVED", "n3"),
        "e02000000": group("CREATED", "n4"),
    }
    assert held_by(table, JOB) == {"n1": 3, "n2": 1}


CLUSTER = Cluster(
    nodes={
        "head": NodeType(cpus=4, price_per_hour=0.5),
        "small": NodeType(gpus=1, cpus=8, price_per_hour=1.0),
        "spot": NodeType(gpus=8, cpus=64, price_per_hour=6.0),
        "on-demand": NodeType(gpus=8, cpus=64, price_per_hour=16.0),
    }
)


@pytest.mark.parametrize(
    ("labels", "resources", "price"),
    [
        ({"ray.io/node-group": "spot"}, {"GPU": 8.0}, 6.0),
        ({"ray.io/node-group": "unheard-of"}, {"GPU": 8.0}, 16.0),
        ({}, {"GPU": 8.0}, 16.0),
        ({}, {"GPU": 1.0}, 1.0),
        ({}, {"GPU": 4.0}, 8.0),
        ({}, {"CPU": 4.0}, 0.0),
    ],
)
def test_the_price_of_a_node(labels: dict[str, str], resources: dict[str, float], price: float) -> None:
    assert price_of(CLUSTER, Runtime(), labels, resources) == price


def test_where_cpus_train_they_tell_the_price() -> None:
    assert price_of(CLUSTER, Runtime(accelerator="cpu"), {}, {"CPU": 4.0}) == 0.5
    assert price_of(CLUSTER, Runtime(accelerator="cpu"), {}, {"CPU": 8.0, "GPU": 1.0}) == 1.0


def test_a_limit_is_reached_and_says_so() -> None:
    spent = Spending(gpu_hours=10.0, cost=24.5)
    assert Limits().passed(spent, "USD") is None
    assert Limits(gpu_hours=10.1, cost=25).passed(spent, "USD") is None
    assert "10 of 10 GPU-hours" in str(Limits(gpu_hours=10).passed(spent, "USD"))
    assert "10 of 10 CPU-hours" in str(Limits(gpu_hours=10).passed(spent, "USD", "CPU-hours"))
    assert "24.50 of 20.00 EUR" in str(Limits(cost=20).passed(spent, "EUR"))
