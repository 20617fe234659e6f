"""The estimate of a rank's memory, against what was measured and by hand."""

import pytest

from stilts.encoders.sizes import shape_of
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.plan.cost.memory import PROCESS_BYTES, rank_bytes, rank_share, token_budget
from tests.plan.conftest import Expand


def test_a_rank_by_hand(expanded: Expand) -> None:
    graph = expanded(recipe={"epochs": 2, "batch_size": 32, "max_length": 128}).graph
    base, stage = graph.nodes
    size = shape_of(next(node.spec for node in graph if isinstance(node.spec, BaseSpec)))
    assert size is not None
    fixed = PROCESS_BYTES["cpu"]
    assert rank_bytes(graph, [base], Runtime(), gpu=False) == fixed + 8 * size.parameters
    trained = fixed + 16 * size.parameters
    assert rank_bytes(graph, [base, stage], Runtime(), gpu=False) == trained + 4096 * size.width * size.layers * 140
    small = Runtime(tokens_per_micro_batch=1024)
    assert rank_bytes(graph, [stage], small, gpu=False) == trained + 1024 * size.width * size.layers * 140
    saving = Runtime(gradient_checkpointing=True)
    assert rank_bytes(graph, [stage], saving, gpu=False) == trained + 4096 * size.width * (size.layers * 8 + 140)
    assert rank_bytes(graph, [stage], Runtime(), gpu=True) == PROCESS_BYTES["gpu"] + 8 * size.parameters
    assert rank_bytes(graph, [], Runtime(), gpu=False) == 0.0


@pytest.mark.parametrize(("declared", "found"), [(4.0, 4e9), (0.0, 0.0)])
def test_what_is_declared_replaces_the_estimate(expanded: Expand, declared: float, found: float) -> None:
    graph = expanded().graph
    assert rank_bytes(graph, graph.nodes, Runtime(memory_per_rank=declared), gpu=False) == found


def test_a_machine_is_divided_by_the_ranks_that_it_has_cores_for():
    assert rank_share(Runtime(), 100e9, 8) == 10e9
    assert rank_share(Runtime(cpus_per_rank=4), 100e9, 8) == 40e9
    assert rank_share(Runtime(max_parallel=1, ranks=2), 100e9, 8) == 40e9
    assert rank_share(Runtime(cpus_per_rank=16), 100e9, 8) == 80e9
    assert rank_share(Runtime(memory_per_rank=3), 100e9, 8) == 3e9


def test_a_token_budget_is_the_largest_power_of_two_that_fits():
    assert [token_budget(free, 1e6, gpu=False) for free in (1e12, 8.2e9, 8.1e9, 300e6, 1.0)] == [
        8192,
        8192,
        4096,
        256,
        256,
    ]
    assert token_budget(1e12, 1e6, gpu=True) == 16384
