"""Attention within the segments of a batch: one function for all encoders, with variable lengths or with masks.

A packed row holds several sequences, and padding at its end. Each of them is a segment: its tokens attend to each other
and to no other token. transformers calls `attend` in every layer of an encoder (it is registered as the attention
implementation IMPLEMENTATION). `attend` has two ways to compute the same result, up to rounding:

- Variable lengths: the rows are laid end to end, and no score between two segments is computed. On a GPU, a flash
  attention kernel gets the bounds of the segments; it needs bf16 weights (`has_kernel`). On a CPU, a loop goes over the
  segments. It stores no attention weights, but computes them again in the backward pass. For narrow encoders the calls
  of the loop take longer than the products they save, so that it is used from a width of LEAST_WIDTH on.
- Masks: torch's scaled_dot_product_attention with a boolean mask, which is made once per batch.

Dropout draws other numbers in the two ways, so that runs with dropout agree in distribution only.
"""

import logging
import math
from collections.abc import Collection, Iterator, Mapping
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

LEAST_WIDTH = 256
"""Least hidden size of an encoder that is trained with the loop over segments on a CPU."""

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

    On a GPU this is torch's flash attention kernel. On a CPU it is a loop over the segments.

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
    """The output, log(sum(exp(scores))) [heads, tokens] in fp32, and uint64 [2] from which dropout can be repeated.

    The logarithms are 0 on a CPU, which computes the scores again in the backward pass.
    """
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
    for part, kept in _segments_of(query, bounds, dropout, seed):
        weights = _weights(query[part], key[part], window, scale)
        values = _by_head(value[part], query)
        if kept is not None:
            weights.mul_(kept)
        out[part] = _product(weights, values, _scale_of(dropout)).transpose(0, 1)
    sums = query.new_zeros((query.shape[1], len(query)), dtype=torch.float32)
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
    factor = _scale_of(dropout)
    means = (gradient * out).sum(-1).t()[..., None]  # of the gradient of a token's weights, [heads, tokens, 1]
    for part, kept in _segments_of(query, bounds, dropout, seed):
        queries, outer = query[part].transpose(0, 1), gradient[part].transpose(0, 1)
        keys, values = _by_head(key[part], query), _by_head(value[part], query)
        weights = _weights(query[part], key[part], window, scale)
        dropped = weights if kept is None else weights * kept
        of_values = _product(dropped.transpose(1, 2), outer, factor)
        of_scores = _product(outer, values.transpose(1, 2), factor)
        if kept is not None:
            of_scores.mul_(kept)
        of_scores.sub_(means[:, part]).mul_(weights)
        gradients[0][part] = _product(of_scores, keys, scale).transpose(0, 1)
        gradients[1][part] = _summed(_product(of_scores.transpose(1, 2), queries, scale), key)
        gradients[2][part] = _summed(of_values, value)
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


def _segments_of(
    query: torch.Tensor, bounds: torch.Tensor, dropout: float, seed: torch.Tensor
) -> Iterator[tuple[slice, torch.Tensor | None]]:
    """Yield each segment that is not empty, and which of its weights [heads, n, n] dropout keeps; None: all."""
    generator = torch.Generator().manual_seed(int(seed.view(torch.int64)[0]))
    for begin, end in pairwise(bounds.tolist()):
        if end > begin:
            kept = _kept((query.shape[1], end - begin, end - begin), dropout, generator) if dropout else None
            yield slice(begin, end), kept


DRAWS = 2**15
"""Number of values of a random number that decides whether dropout keeps a weight."""


def _kept(shape: tuple[int, ...], dropout: float, generator: torch.Generator) -> torch.Tensor:
    """Which elements dropout keeps, at random. A draw of 63 bits decides on four: a fourth of the time of one each."""
    count = math.prod(shape)
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(generator=generator).view(torch.int16)[:count]
    return (drawn.bitwise_and_(DRAWS - 1) >= _dropped_draws(dropout)).view(shape)


def _dropped_draws(dropout: float) -> int:
    return round(dropout * DRAWS)


def _scale_of(dropout: float) -> float:
    """The factor of the weights that dropout keeps, with which their mean stays the same."""
    return DRAWS / (DRAWS - _dropped_draws(dropout))


def _weights(query: torch.Tensor, key: torch.Tensor, window: int, scale: float) -> torch.Tensor:
    """The attention weights of one segment, [heads, n, n], of query [n, heads, size] and key [n, key heads, size]."""
    scores = _product(query.transpose(0, 1), _by_head(key, query).transpose(1, 2), scale)
    if window != FULL:
        places = torch.arange(len(query))
        scores.masked_fill_((places[:, None] - places).abs() > window, float("-inf"))
    return torch.softmax(scores, -1)


def _product(left: torch.Tensor, right: torch.Tensor, factor: float) -> torch.Tensor:
    """factor * left @ right, for each head."""
    return torch.baddbmm(left.new_zeros((1, 1, 1)), left, right, beta=0, alpha=factor)


def _by_head(tensor: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """A key or value [n, key heads, size] as [heads, n, size], repeated for the heads of the query that share it."""
    shared = query.shape[1] // tensor.shape[1]
    return (tensor if shared == 1 else tensor.repeat_interleave(shared, dim=1)).transpose(0, 1)


def _summed(gradient: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Gradients [heads, n, size] as [n, key heads, size]: those of the heads that share one are added up."""
    return gradient.unflatten(0, (key.shape[1], -1)).sum(1).transpose(0, 1)


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
