"""Attention within the segments of a batch: one function for all encoders, with variable lengths or with masks.

A packed row holds several sequences, and padding at its end. Each of them is a segment: its tokens attend to each other
and to no other token. transformers calls `attend` in every layer of an encoder (it is registered as the attention
implementation IMPLEMENTATION). `attend` has two ways to compute the same result, up to rounding:

- Variable lengths: the rows are laid end to end, and a flash attention kernel gets the bounds of the segments. It never
  computes a score between two segments and reads no mask. It needs a GPU and bf16 weights (`has_kernel`).
- Masks: torch's scaled_dot_product_attention with a boolean mask, which is made once per batch.

Dropout draws other numbers in the two ways, so that runs with dropout agree in distribution only.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

log = logging.getLogger(__name__)

IMPLEMENTATION = "stilts"
"""Name of `attend` among transformers' attention implementations."""

FULL = -1
"""The window of a layer in which every token attends to its whole segment."""


@dataclass(frozen=True)
class Segments:
    """Which tokens of a batch attend to each other. Made once per batch and passed to every layer.

    Attributes:
        bounds: int32 [n + 1], the first token of each segment in the rows laid end to end, then the number of all
            tokens. Segments may be empty. None: attention uses masks.
        longest: an upper bound of the length of a segment.
        masks: window -> boolean mask [rows, 1, width, width], True where a token may attend; None where every token
            attends to its whole row. Empty if attention uses the bounds.
    """

    bounds: torch.Tensor | None
    longest: int
    masks: Mapping[int, torch.Tensor | None] = field(default_factory=dict)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    segments: Segments | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one layer, as transformers calls it.

    Args:
        query, key, value: [rows, heads, width, size]. Key and value may have fewer heads than the query.
        attention_mask: used without `segments`, as by transformers' sdpa.
        sliding_window: 1 + the largest distance between a token and another that it attends to.

    Returns:
        [rows, width, heads, size], and None where other implementations return the weights.
    """
    window = FULL if sliding_window is None else sliding_window - 1
    if segments is not None and segments.bounds is not None:
        rows, _, width, _ = query.shape
        query, key, value = (tensor.transpose(1, 2).flatten(0, 1) for tensor in (query, key, value))
        output = varlen_attention(
            query, key, value, segments.bounds, segments.longest, window=window, dropout=dropout, scale=scaling
        )
        return output.unflatten(0, (rows, width)), None
    if segments is not None:
        attention_mask = segments.masks[window]
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=False
    )


AttentionInterface.register(IMPLEMENTATION, attend)
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)


def segment_masks(segments: torch.Tensor, packed: bool, full: bool, windows: Collection[int]) -> dict[int, Any]:
    """The mask of each window, as in `Segments.masks`.

    In a padded batch all tokens, padding included, attend to the sequence of their row. In a packed batch, and where
    there are windows, padding attends to padding, so that every token attends to at least one.

    Args:
        segments: int64 [rows, width], number of the token's segment within its row; 0 is padding.
        packed: whether rows may hold several sequences.
        full: whether no row has padding.
    """
    masks: dict[int, Any] = {}
    for window in windows:
        mask = None
        if packed or (window != FULL and not full):
            mask = segments[:, None, :, None] == segments[:, None, None, :]
        elif not full:
            rows, width = segments.shape
            mask = (segments > 0)[:, None, None, :].expand(rows, 1, width, width)
        if window != FULL:
            places = torch.arange(segments.shape[1], device=segments.device)
            near = (places[:, None] - places).abs() <= window
            mask = near[None, None] if mask is None else mask & near
        masks[window] = mask
    return masks


def varlen_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    *,
    window: int = FULL,
    dropout: float = 0.0,
    scale: float | None = None,
) -> torch.Tensor:
    """Attention of every token to the tokens of its segment; differentiable.

    On a GPU this is torch's flash attention kernel. On a CPU it is a loop over the segments, slow and exact, against
    which the other ways are tested.

    Args:
        query: [tokens, heads, size].
        key, value: [tokens, key heads, size]; `heads` is a multiple of `key heads`.
        bounds: int32 [segments + 1]: segment i has the tokens from bounds[i] to bounds[i + 1]. They ascend from 0 to
            the number of tokens.
        longest: an upper bound of the length of a segment.
        window: largest distance between a token and another that it attends to; FULL: no limit.
        dropout: probability that a weight is set to 0. The numbers come from torch's default generator of the device.
        scale: factor of the scores; by default 1 / sqrt(size).

    Returns:
        [tokens, heads, size].
    """
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    output: torch.Tensor = _forward(query, key, value, bounds, longest, window, dropout, factor)[0]
    return output


@torch.library.custom_op("stilts::varlen_attention", mutates_args=())
def _forward(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    window: int,
    dropout: float,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The output, log(sum(exp(scores))) [heads, tokens] in fp32, and uint64 [2] from which dropout can be repeated."""
    seed = torch.zeros(2, dtype=torch.uint64, device=query.device)
    if query.is_cuda:
        out, sums, drawn, _, _ = torch.ops.aten._flash_attention_forward(
            query, key, value, bounds, bounds, longest, longest, dropout, False, False,
            scale=scale, window_size_left=window, window_size_right=window,
        )  # fmt: skip
        return out, sums, drawn if dropout else seed
    if dropout:
        seed.view(torch.int64).random_()
    out = torch.empty_like(query)
    sums = query.new_empty((query.shape[1], len(query)), dtype=torch.float32)
    for part, keep in _segments_of(query, bounds, dropout, seed):
        scores = _scores(query[part], key[part], window, scale)
        sums[:, part] = scores.logsumexp(-1).float()
        weights = scores.softmax(-1)
        out[part] = torch.einsum(
            "hqk,khd->qhd", weights if keep is None else weights * keep, _heads(value[part], query)
        )
    return out, sums, seed


@_forward.register_fake
def _(query, key, value, bounds, longest, window, dropout, scale):  # type: ignore[no-untyped-def]
    sums = query.new_empty((query.shape[1], query.shape[0]), dtype=torch.float32)
    return torch.empty_like(query), sums, torch.empty(2, dtype=torch.uint64, device=query.device)


@torch.library.custom_op("stilts::varlen_attention_backward", mutates_args=())
def _backward(
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    sums: torch.Tensor,
    seed: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    window: int,
    dropout: float,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of query, key and value."""
    if query.is_cuda:
        found: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = torch.ops.aten._flash_attention_backward(
            gradient, query, key, value, out, sums, bounds, bounds, longest, longest, dropout, False,
            seed, torch.empty(0, device=query.device),
            scale=scale, window_size_left=window, window_size_right=window,
        )  # fmt: skip
        return found
    gradients = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
    for part, keep in _segments_of(query, bounds, dropout, seed):
        keys, values = _heads(key[part], query), _heads(value[part], query)
        weights = _scores(query[part], key[part], window, scale).softmax(-1)
        dropped = weights if keep is None else weights * keep
        of_weights = torch.einsum("qhd,khd->hqk", gradient[part], values)
        of_weights = of_weights if keep is None else of_weights * keep
        of_scores = weights * (of_weights - (weights * of_weights).sum(-1, keepdim=True)) * scale
        gradients[0][part] = torch.einsum("hqk,khd->qhd", of_scores, keys)
        gradients[1][part] = _summed(torch.einsum("hqk,qhd->khd", of_scores, query[part]), key)
        gradients[2][part] = _summed(torch.einsum("hqk,qhd->khd", dropped, gradient[part]), key)
    return gradients


@_backward.register_fake
def _(gradient, query, key, value, out, sums, seed, bounds, longest, window, dropout, scale):  # type: ignore[no-untyped-def]
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    query, key, value, bounds, *ctx.settings = inputs
    ctx.save_for_backward(query, key, value, *output, bounds)


def _gradients(ctx: Any, gradient: torch.Tensor, *_: Any) -> tuple[Any, ...]:
    found = _backward(gradient.contiguous(), *ctx.saved_tensors, *ctx.settings)
    return *found, None, None, None, None, None


_forward.register_autograd(_gradients, setup_context=_remember)


def _segments_of(query: torch.Tensor, bounds: torch.Tensor, dropout: float, seed: torch.Tensor) -> Any:
    """Yield each segment that is not empty as a slice, with the factors [heads, n, n] of its weights under dropout."""
    generator = torch.Generator().manual_seed(int(seed.view(torch.int64)[0]))
    ends = bounds.tolist()
    for begin, end in pairwise(ends):
        if end > begin:
            keep = None
            if dropout:
                drawn = torch.rand((query.shape[1], end - begin, end - begin), generator=generator)
                keep = (drawn >= dropout).to(query.dtype) / (1 - dropout)
            yield slice(begin, end), keep


def _scores(query: torch.Tensor, key: torch.Tensor, window: int, scale: float) -> torch.Tensor:
    """[heads, n, n]"""
    scores = torch.einsum("qhd,khd->hqk", query, _heads(key, query)) * scale
    if window == FULL:
        return scores
    places = torch.arange(len(query))
    return scores.masked_fill((places[:, None] - places).abs() > window, float("-inf"))


def _heads(tensor: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Repeat the heads of a key or value for the heads of the query that share them."""
    return tensor.repeat_interleave(query.shape[1] // tensor.shape[1], dim=1)


def _summed(gradient: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Add up the gradients [n, heads, size] of the query's heads that share a head of the key."""
    return gradient.unflatten(1, (key.shape[1], -1)).sum(2)


@cache
def has_kernel(device: torch.device, dtype: torch.dtype, size: int, windows: tuple[int, ...]) -> bool:
    """Whether the flash attention kernel of this device can be used; tried once on a few tokens, forward and backward.

    Args:
        size: number of elements of an attention head.
        windows: windows of the encoder's layers.
    """
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return False
    try:
        with torch.inference_mode(False), torch.enable_grad():
            return all(_agrees(device, dtype, size, window) for window in windows)
    except RuntimeError as error:
        log.warning("flash attention with variable lengths cannot be used: %s", str(error).partition("\n")[0])
        return False


def _agrees(device: torch.device, dtype: torch.dtype, size: int, window: int) -> bool:
    """Whether the kernel gives the output and gradients of the loop over segments, within the rounding of `dtype`."""
    lengths = [3, 40, 0, 21]
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn((sum(lengths), 2, size), generator=generator) for _ in range(4)]
    bounds = F.pad(torch.tensor(lengths).cumsum(0), (1, 0)).int()
    found = []
    for where, kind in ((torch.device("cpu"), torch.float32), (device, dtype)):
        query, key, value, weights = (tensor.to(where, kind) for tensor in inputs)
        parts = [tensor.requires_grad_() for tensor in (query, key, value)]
        output = varlen_attention(query, key, value, bounds.to(where), max(lengths), window=window)
        gradients = torch.autograd.grad(output, parts, weights)
        found.append([tensor.detach().float().cpu() for tensor in (output, *gradients)])
    agree = all((ours - theirs).abs().max() < 0.05 for ours, theirs in zip(*found, strict=True))
    if not agree:
        log.warning("flash attention with variable lengths gives wrong results on this GPU and is not used")
    return agree
