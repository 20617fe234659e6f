"""What large models hold on each device, as the plan says it."""

from typing import Any

import pytest

from stilts.encoders.sizes import Shape
from stilts.experiment.runtime import Runtime
from stilts.plan.cost.sharding import device_bytes, memory_notes, offloaded_bytes
from stilts.plan.expand import expand
from tests.plan.conftest import FakeData, declare

ONE = Shape(layers=1, width=1, layer_parameters=600_000_000, embedding_parameters=400_000_000)


@pytest.mark.parametrize(
    ("ranks", "stage", "offload", "gigabytes"),
    [
        (1, 0, "none", 18),
        (4, 0, "none", 18),
        (4, 1, "none", 2 + 4 + 3),
        (4, 2, "none", 2 + 1 + 3),
        (4, 3, "none", 4.5),
        (4, 3, "optimizer", 1.5),
        (4, 3, "all", 1),
    ],
)
def test_zero_divides_the_state(ranks: int, stage: int, offload: str, gigabytes: float) -> None:
    assert device_bytes(ONE, ranks, stage, offload) == pytest.approx(gigabytes * 1e9)


def test_what_is_offloaded_lies_in_the_machines_memory() -> None:
    assert offloaded_bytes(ONE, Runtime()) == 0
    assert offloaded_bytes(ONE, Runtime(ranks=4, zero_stage=3, offload="optimizer")) == 3e9
    assert offloaded_bytes(ONE, Runtime(ranks=4, zero_stage=3, offload="all")) == 3.5e9


def noted(data: FakeData, hub: str, **runtime: Any) -> list[str]:
    model = {"hub": hub, "revision": "x"}
    graph = expand(declare(models={"some": model}, intermediates=["none", "squad"], runtime=runtime), data).graph
    return memory_notes(graph, Runtime(**runtime))


def test_the_plan_says_what_xlmr_xl_and_xxl_need(data: FakeData) -> None:
    (xl,) = noted(data, "facebook/xlm-roberta-xl")
    assert "3.5 billion parameters" in xl
    assert "take 63 GB beside activations; this plan holds 63 GB on each of 1 (runtime.ranks 1, zero_stage 1" in xl
    assert "With zero_stage 3: 2 GPUs 31 GB each, 4 GPUs 16 GB each, 8 GPUs 8 GB each" in xl
    (xxl,) = noted(data, "facebook/xlm-roberta-xxl", ranks=8, zero_stage=3)
    assert "10.7 billion parameters" in xxl
    assert "this plan holds 24 GB on each of 8" in xxl
    assert len(noted(data, "EuroBERT/EuroBERT-2.1B")) == 1
    assert noted(data, "FacebookAI/xlm-roberta-large") == []
