"""Attention within segments: variable lengths and masks equal a loop over the sequences."""

import json

import pytest
import torch
import torch.nn.functional as F

from stilts.data.batching import split_packed
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.attention import (
    FULL,
    IMPLEMENTATION,
    LEAST_WIDTH,
    _forward,
    has_kernel,
    segment_masks,
    varlen_attention,
)
from stilts.train.features import Features
from stilts.train.feed import Feed
from stilts.train.loop import train
from stilts.train.step_schedule import StepSchedule
from tests.train.toys import NO_DROPOUT, collate, load_model, make_base, make_features, one_part

CPU = torch.device("cpu")
LENGTHS = [5, 1, 0, 17, 9]
BOUNDS = torch.tensor([0, 5, 6, 6, 23, 32], dtype=torch.int32)


def inputs(heads: int = 4, key_heads: int = 4, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(sum(LENGTHS), count, 8) for count in (heads, key_heads, key_heads)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def one_by_one(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, window: int) -> torch.Tensor:
    """torch's own attention of each segment alone."""
    outputs = []
    for parts in zip(*(tensor.split(LENGTHS) for tensor in (query, key, value)), strict=True):
        q, k, v = (part.transpose(0, 1) for part in parts)
        places = torch.arange(q.shape[1])
        near = None if window == FULL else (places[:, None] - places).abs() <= window
        outputs.append(F.scaled_dot_product_attention(q, k, v, attn_mask=near, enable_gqa=True).transpose(0, 1))
    return torch.cat(outputs)


def with_gradients(output: torch.Tensor, parts: list[torch.Tensor]) -> list[torch.Tensor]:
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(9))
    return [output, *torch.autograd.grad((output * weights).sum(), parts)]


@pytest.mark.parametrize("window", [FULL, 0, 3])
@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_variable_lengths_equal_each_segment_alone(window, key_heads):
    parts = inputs(key_heads=key_heads)
    ours = with_gradients(varlen_attention(*parts, BOUNDS, 17, window=window), parts)
    theirs = with_gradients(one_by_one(*parts, window), parts)
    assert all((a - b).abs().max() <= 2e-6 for a, b in zip(ours, theirs, strict=True))


def test_dropout_is_a_function_of_the_seed_and_keeps_the_mean():
    parts = inputs()
    with torch.no_grad():
        whole = varlen_attention(*parts, BOUNDS, 17)

    def dropped(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return varlen_attention(*parts, BOUNDS, 17, dropout=0.3)

    first, again, other = (with_gradients(dropped(seed), parts) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    with torch.no_grad():
        mean = torch.stack([dropped(seed) for seed in range(60)]).mean(0)
    assert (mean - whole).abs().mean() < 0.1


def test_gradients_under_dropout_are_those_of_the_output():
    """The weights that the forward pass dropped are dropped in the backward pass, too."""
    parts = [part.detach().double().requires_grad_() for part in inputs()]

    def output(*tensors: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(5)
        return varlen_attention(*tensors, BOUNDS, 17, window=6, dropout=0.4)

    assert torch.autograd.gradcheck(output, tuple(parts), nondet_tol=0.0, fast_mode=True)


def test_torch_accepts_the_operation_for_compilation():
    parts = inputs()
    torch.library.opcheck(_forward, (*parts, BOUNDS, 17, FULL, 0.0, 0.3))


def packed_and_not(model, count: int = 10):
    features = Features.of(make_features("tagging", count), "tagging")
    lengths = features.ids.lengths.tolist()
    packed = split_packed(lengths, features.item.tolist(), 64, 10**6, 1)[0][0]
    assert len(packed) < count
    pad = model.config.pad_token_id
    return (
        collate(features, packed, pad, CPU, True),
        collate(features, [[row] for row in range(count)], pad, CPU, False),
    )


def states_and_gradients(model, batch, how: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The states that the head reads, in the order of the sequences, and the gradients of the loss."""
    model.attention_of = lambda device: how
    model.zero_grad()
    model(batch).backward()
    states = model.encode(batch).last_hidden_state.flatten(0, 1)[batch.units]
    parts = states.split(batch.counts)
    ordered = [parts[batch.order.index(row)] for row in range(len(parts))]
    return torch.cat(ordered).detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("kind", "recompute"), [("xlm-roberta", False), ("xlm-roberta", True), ("bert", False)])
def test_an_encoder_gives_the_same_with_bounds_with_masks_and_unpacked(tmp_path, text_file, kind, recompute):
    model = load_model(make_base(tmp_path, text_file, model_type=kind, **NO_DROPOUT), "tagging").train()
    if recompute:
        model.checkpoint_gradients()
    packed, padded = packed_and_not(model)
    states, gradients = states_and_gradients(model, padded, "masks")
    for batch, how in ((packed, "masks"), (packed, "flash"), (padded, "flash")):
        found, ours = states_and_gradients(model, batch, how)
        assert (found - states).abs().max() <= 2e-6
        assert ours.keys() == gradients.keys()
        # A gradient is a sum over the tokens of the batch, in the order of its rows.
        assert all((ours[name] - value).abs().max() <= 1e-5 for name, value in gradients.items())


def test_dropout_of_an_encoder_is_a_function_of_the_seed(dropping_base):
    model = load_model(dropping_base, "tagging").train()
    packed, _ = packed_and_not(model)
    model.attention_of = lambda device: "flash"

    def loss(seed: int) -> float:
        torch.manual_seed(seed)
        return model(packed).item()

    assert loss(1) == loss(1) != loss(2)


def test_masks_are_made_once_per_batch(base, monkeypatch):
    model, made = load_model(base, "tagging"), []

    def counting(*args):
        made.append(segment_masks(*args))
        return made[-1]

    monkeypatch.setattr("stilts.train.model.segment_masks", counting)
    seen = []
    for layer in model.encoder.encoder.layer:
        layer.attention.self.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(kwargs["segments"].masks[FULL]), with_kwargs=True
        )
    model(packed_and_not(model)[0])
    assert len(made) == 1
    assert len(seen) == model.depth
    assert all(mask is made[0][FULL] for mask in seen)


def test_masks_have_windows_and_no_token_without_another():
    segments = torch.tensor([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
    masks = segment_masks(segments, True, False, (FULL, 1))
    assert masks[FULL][0, 0, 0].tolist() == [True, True, True, False, False, False]
    assert masks[1][0, 0, 0].tolist() == [True, True, False, False, False, False]
    assert masks[1][0, 0, 3].tolist() == [False, False, False, True, True, False]
    for packed, full in ((True, False), (False, False), (False, True)):
        for mask in segment_masks(segments, packed, full, (FULL, 1)).values():
            assert mask is None or mask.any(-1).all()
    assert segment_masks(segments, False, True, (FULL,)) == {FULL: None}


def test_a_saved_encoder_names_no_attention_of_ours(base, tmp_path):
    model = load_model(base, "tagging")
    assert model.config._attn_implementation == IMPLEMENTATION
    model.save(tmp_path)
    assert IMPLEMENTATION not in json.dumps(json.loads((tmp_path / "config.json").read_text()))


def test_an_encoder_whose_attention_cannot_be_replaced_keeps_its_own(text_file, tmp_path):
    model = load_model(make_base(tmp_path, text_file, model_type="deberta-v2"), "tagging")
    assert model.attention_of(CPU) == model.config._attn_implementation == "eager"


def test_a_cpu_has_no_kernel():
    assert not has_kernel(CPU, torch.bfloat16, 64, (FULL,))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernel needs a GPU")
def test_a_gpu_has_a_kernel_that_agrees():
    assert has_kernel(torch.device("cuda", 0), torch.bfloat16, 64, (FULL, 3))


def test_wide_encoders_are_trained_in_one_row_with_a_loop_over_segments_on_a_cpu(tmp_path, text_file, base, ranks):
    """The loss curve is that of masks on padded rows, and no row has padding."""
    wide = {"hidden_size": LEAST_WIDTH, "num_attention_heads": 8, "intermediate_size": 64, **NO_DROPOUT}
    folder = make_base(tmp_path, text_file, **wide)
    recipe = Recipe(learning_rate=1e-3, max_steps=3, batch_size=8, max_length=32, precision="fp32", selection="last")
    parts = one_part(make_features("tagging"), "tagging", recipe)
    curves = []
    for how in ("segments", "masks"):
        model = load_model(folder, "tagging")
        assert model.attention_of(CPU) == "segments"
        model.attention_of = lambda device, how=how: how
        schedule = StepSchedule(model, parts, recipe, None)
        batches = [batch for batch, _ in Feed(model, schedule, ranks, 64).step(0).batches]
        if how == "segments":
            assert len(batches) > 1
            assert all(batch.full and len(batch.input_ids) == 1 for batch in batches)
        curves.append(train(model, parts, recipe, Runtime(tokens_per_micro_batch=64), ranks).losses)
    assert [loss for _, loss in curves[0]] == pytest.approx([loss for _, loss in curves[1]], rel=1e-5)
    assert load_model(base, "tagging").attention_of(CPU) == "masks"
