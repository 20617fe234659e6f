"""Cross entropy over a large vocabulary in chunks of tokens, without a matrix of all scores.

The scores of 2,500 tokens for 250,000 words take 2.5 GB, and their gradient as much. Here the scores of one chunk exist
at a time. Its gradients are computed right after its loss, so that nothing is computed twice, and added up in fp32.
(torch 2.13's `linear_cross_entropy` does the same; in bf16 on a GPU it adds up the gradients in bf16 by default.)
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from stilts.train.features import IGNORED

CHUNK_BYTES = 2**29
"""Memory of the scores of one chunk, in fp32."""


def vocabulary_loss(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, labels: torch.Tensor, chunk: int | None = None
) -> torch.Tensor:
    """Sum of the cross entropies of `states @ weight.T + bias`: an fp32 scalar, differentiable once.

    The result and its gradients are those of `F.linear` and `F.cross_entropy` in fp32, up to rounding.

    Args:
        states: [tokens, size].
        weight: [words, size].
        bias: [words].
        labels: int64 [tokens]; IGNORED where a token has none.
        chunk: number of tokens in a chunk. By default as many as fit CHUNK_BYTES.
    """
    rows = chunk or max(1, CHUNK_BYTES // (4 * len(weight)))
    loss: torch.Tensor = _VocabularyLoss.apply(states, weight, bias, labels, rows)
    return loss


class _VocabularyLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        labels: torch.Tensor,
        chunk: int,
    ) -> torch.Tensor:
        needed = ctx.needs_input_grad[:3]
        gradients = [
            torch.zeros(tensor.shape, dtype=torch.float32, device=tensor.device) if need else None
            for tensor, need in zip((states, weight, bias), needed, strict=True)
        ]
        of_states, of_weight, of_bias = gradients
        loss = torch.zeros((), device=states.device)
        matrix = weight if _multiplies(weight) else weight.float()
        for begin in range(0, len(states), chunk):
            part = slice(begin, begin + chunk)
            own, read = labels[part], states[part].to(matrix.dtype)
            scores = _product(read, matrix.T) + bias.float()
            loss += F.cross_entropy(scores, own, reduction="sum", ignore_index=IGNORED)
            if not any(needed):
                continue
            _to_gradient(scores, own)
            rounded = scores.to(matrix.dtype)
            if of_states is not None:
                of_states[part] = _product(rounded, matrix)
            if of_weight is not None:
                of_weight += _product(rounded.T, read)
            if of_bias is not None:
                of_bias += scores.sum(0)
        ctx.dtypes = [tensor.dtype for tensor in (states, weight, bias)]
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scaled = [
            None if saved is None else (saved * gradient).to(dtype)
            for saved, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return *scaled, None, None


def _to_gradient(scores: torch.Tensor, labels: torch.Tensor) -> None:
    """Replace scores [tokens, words] by the gradient of their cross entropy: softmax - one-hot, 0 without a label."""
    torch.softmax(scores, dim=-1, out=scores)
    places = labels.clamp(min=0)[:, None]
    scores.scatter_(1, places, scores.gather(1, places) - 1)
    scores *= (labels != IGNORED)[:, None]


def _multiplies(weight: torch.Tensor) -> bool:
    """Whether matrices of this precision are multiplied into fp32 without a copy of them in fp32."""
    return weight.dtype == torch.float32 or weight.is_cuda


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """left @ right in fp32."""
    return left @ right if left.dtype == torch.float32 else torch.mm(left, right, out_dtype=torch.float32)
