"""The loss in chunks is the plain cross entropy with its gradients, in bounded memory."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.heads import vocabulary_loss as module
from stilts.train.heads.base import FamilyHead
from stilts.train.heads.mlm import MaskedLanguageModelling
from stilts.train.heads.vocabulary_loss import vocabulary_loss
from stilts.train.loop import train
from tests.train.toys import load_model, make_features, one_part

WORDS, SIZE, TOKENS = 501, 24, 37


def inputs(dtype: torch.dtype = torch.float32) -> tuple[list[torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (TOKENS, SIZE), (WORDS, SIZE), (WORDS,)
    tensors = [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]
    labels = torch.randint(WORDS, (TOKENS,), generator=generator)
    labels[[3, 20]] = -100
    return tensors, labels


def plain(tensors: list[torch.Tensor], labels: torch.Tensor) -> list[torch.Tensor]:
    """The loss and the gradients of the mean loss, in fp32."""
    parts = [tensor.detach().float().requires_grad_() for tensor in tensors]
    loss = F.cross_entropy(F.linear(*parts), labels, reduction="sum")
    return [loss, *torch.autograd.grad(loss / TOKENS, parts)]


@pytest.mark.parametrize("chunk", [1, 8, TOKENS, None])
def test_it_is_the_plain_loss_with_its_gradients(chunk):
    tensors, labels = inputs()
    loss = vocabulary_loss(*tensors, labels, chunk)
    ours = [loss, *torch.autograd.grad(loss / TOKENS, tensors)]
    for found, expected in zip(ours, plain(tensors, labels), strict=True):
        assert (found - expected).abs().max() <= 2e-6 * expected.abs().max()


def test_in_bf16_sums_are_fp32_and_only_results_are_rounded():
    tensors, labels = inputs(torch.bfloat16)
    expected, *gradients = plain(tensors, labels)
    loss = vocabulary_loss(*tensors, labels, 8)
    assert loss.dtype is torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for found, exact in zip(torch.autograd.grad(loss / TOKENS, tensors), gradients, strict=True):
        assert found.dtype is torch.bfloat16
        assert torch.equal(found, exact.bfloat16()) or (found.float() - exact).abs().max() <= 2**-8 * exact.abs().max()


class Largest(TorchDispatchMode):
    """The largest tensor that an operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return out


def test_no_tensor_is_larger_than_the_scores_of_a_chunk_or_the_weights():
    tensors, labels = inputs()
    with Largest() as whole:
        F.cross_entropy(F.linear(*tensors), labels).backward()
    with Largest() as chunked:
        vocabulary_loss(*tensors, labels, 8).backward()
    assert whole.elements == TOKENS * WORDS
    assert chunked.elements == WORDS * SIZE > 8 * WORDS


def test_what_is_frozen_gets_no_gradient_and_evaluation_none_at_all():
    tensors, labels = inputs()
    tensors[1].requires_grad_(False)
    vocabulary_loss(*tensors, labels, 8).backward()
    assert tensors[1].grad is None
    loss, of_states, *_ = plain(tensors, labels)
    assert torch.allclose(tensors[0].grad / TOKENS, of_states, atol=1e-6)
    with torch.inference_mode():
        assert vocabulary_loss(*tensors, labels, 8).item() == pytest.approx(loss.item())


def test_without_tokens_the_loss_is_zero():
    tensors, labels = inputs()
    loss = vocabulary_loss(tensors[0][:0], tensors[1], tensors[2], labels[:0])
    loss.backward()
    assert loss.item() == 0
    assert not tensors[1].grad.any()


@pytest.mark.parametrize(("engine", "stage"), [("torch", 1), ("deepspeed", 1), ("deepspeed", 2), ("deepspeed", 3)])
def test_a_tied_head_trains_as_with_all_scores(base, ranks, monkeypatch, engine, stage):
    recipe = Recipe(
        learning_rate=1e-3,
        max_steps=3,
        batch_size=8,
        max_length=32,
        selection="last",
        adam_epsilon=1e-3,
        precision="fp32",
    )

    def trained() -> tuple[list[float], dict[str, torch.Tensor]]:
        model = load_model(base, "mlm")
        runtime = Runtime(engine=engine, zero_stage=stage, tokens_per_micro_batch=128)
        result = train(model, one_part(make_features("mlm"), "mlm", recipe), recipe, runtime, ranks)
        return [loss for _, loss in result.losses], model.state_dict()

    monkeypatch.setattr(module, "CHUNK_BYTES", 4 * 200 * 3)  # 3 tokens of a vocabulary of 200
    losses, weights = trained()
    monkeypatch.setattr(MaskedLanguageModelling, "loss", FamilyHead.loss)
    whole_losses, whole = trained()
    assert losses == pytest.approx(whole_losses, rel=2e-6)
    assert all((weights[name] - value).abs().max() <= 2e-6 for name, value in whole.items())
