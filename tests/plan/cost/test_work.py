"""The work of a stage: what one rank computes, moves, launches and sends, counted by hand."""

from dataclasses import replace
from typing import Any

import pytest

from stilts.encoders.sizes import Shape, shape_of
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import StageSpec
from stilts.plan.cost.tokens import trained_tokens
from stilts.plan.cost.work import LAUNCHES_PER_LAYER, Pass, reading_work, total, trained_parameters, training_work
from tests.plan.conftest import Expand, stage_of
from tests.plan.cost.test_estimate import LARGE

RECIPE = {"epochs": 1, "batch_size": 50, "max_length": 128}
"""20 steps of 50 sequences of 20 tokens: 1000 / 0.93 tokens in 9 rows of 128."""


@pytest.fixture
def spec(expanded: Expand) -> StageSpec:
    return stage_of(expanded(recipe=RECIPE), "none")


def large() -> Shape:
    size = shape_of(LARGE)
    assert size is not None
    return size


def training(spec: StageSpec, size: Shape | None = None, **runtime: Any) -> Pass:
    return training_work(spec, size or large(), trained_tokens(spec)[0], Runtime(**runtime))


def test_a_small_model_launches_as_much_as_a_wide_one(spec: StageSpec) -> None:
    """So the time of small batches does not fall with the arithmetic."""
    narrow = replace(large(), width=64, layer_parameters=10**6)
    assert training(spec, narrow).launches == training(spec).launches
    assert training(spec, narrow).flops < training(spec).flops / 100


def test_micro_batches_launch_again_and_compute_once(spec: StageSpec) -> None:
    one, nine = training(spec), training(spec, tokens_per_micro_batch=128)
    assert one.flops == nine.flops == pytest.approx(20 * 9 * 128 * large().flops_per_token(128, training=True))
    layers = large().layers * LAUNCHES_PER_LAYER
    assert nine.launches - one.launches == pytest.approx(20 * 8 * (layers + 25))


def test_an_encoder_that_cannot_pack_pads(spec: StageSpec) -> None:
    padded = training(spec, replace(large(), packs=False))
    assert padded.flops == pytest.approx(20 * 1250 * large().flops_per_token(20, training=True))


def test_recomputing_activations_costs_another_forward_pass(spec: StageSpec) -> None:
    assert training(spec, gradient_checkpointing=True).flops == pytest.approx(4 / 3 * training(spec).flops)


def test_the_optimizer_moves_the_rows_of_the_embeddings_in_use(expanded: Expand, spec: StageSpec) -> None:
    size = large()
    used = (trained_parameters(spec, size) - size.layer_parameters) / size.embedding_parameters * size.vocabulary
    assert 1_000 < used < 5_000, "20,000 tokens have some thousands of subwords"
    mixed = expanded(intermediates={"r": [{"mix": {"tasks": ["mnli", "mlm"]}, "recipe": {"max_steps": 9}}]})
    assert trained_parameters(stage_of(mixed), size) == size.parameters, "an MLM head reads all rows"
    all_rows = replace(size, vocabulary=1)
    assert training(spec, all_rows).traffic - training(spec).traffic == pytest.approx(
        20 * 64 * (1 - used / size.vocabulary) * size.embedding_parameters
    )


@pytest.mark.parametrize(
    ("zero_stage", "each", "gathers"),
    [(1, 4 + 2, 1), (2, 3 * 4 + 2, 1), (3, 3 * (4 + 2 * 2), 3)],
)
def test_what_zero_sends(spec: StageSpec, zero_stage: int, each: float, gathers: int) -> None:
    """Of 4 ranks with 3 micro-batches of one row each: fp32 gradients, bf16 weights."""
    found = training(spec, ranks=4, zero_stage=zero_stage, tokens_per_micro_batch=128)
    assert found.sent == pytest.approx(20 * each * 0.75 * trained_parameters(spec, large()))
    assert training(spec, zero_stage=zero_stage).sent == 0
    alone = training(spec, engine="deepspeed", tokens_per_micro_batch=128)
    assert 3 * found.flops <= alone.flops <= 4 * found.flops
    assert (found.messages / 20 > 100) == (gathers == 3), "ZeRO 3 gathers each layer"


def test_deepspeed_launches_more_than_flat_buffers(spec: StageSpec) -> None:
    assert training(spec, engine="deepspeed").launches > 1.5 * training(spec).launches
    assert training(spec, engine="deepspeed").traffic > training(spec).traffic


def test_a_forward_pass_is_divided_into_batches_and_over_ranks() -> None:
    size = large()
    one, two = (reading_work(100_000, 50, size, "bf16", ranks) for ranks in (1, 2))
    assert one.flops == pytest.approx(100_000 * size.flops_per_token(50, training=False))
    assert one.launches == 7 * (24 * 14 + 25)
    assert two.flops == pytest.approx(one.flops * 4 / 7)
    assert reading_work(100_000, 50, size, "bf16", 1, 14 / 24).flops == pytest.approx(one.flops * 14 / 24)
    assert reading_work(0, 0, size, "bf16", 1) == total([]) == Pass()
