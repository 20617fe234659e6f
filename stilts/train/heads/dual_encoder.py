"""The head of dual encoders: one vector per sequence, trained by contrast with the other texts of a block."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from stilts.train.features import Features, in_blocks
from stilts.train.heads.base import FamilyHead, HeadSpec, StepContext
from stilts.train.heads.registry import register

SCALE = 100.0
"""Factor of the cosines before the softmax. XTREME-R's script trains it, starting from this value, at a learning rate
that moves it by less than one in a whole run."""


class VectorHead(nn.Module):
    """Dense and tanh on the class token, scaled to length 1 in fp32: XTREME-R's dual encoder, shared by both sides."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, hidden)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[u, hidden] -> [u, hidden]"""
        return F.normalize(torch.tanh(self.dense(states).float()), dim=-1)


class DualEncoder(FamilyHead):
    """Pairs of a query and a text. In training, all texts of a block are candidates of each of its queries."""

    family = "dual_encoder"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return VectorHead(config.hidden_size)

    def step(self, rows: Features, context: StepContext) -> Features:
        return in_blocks(rows)

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        if part.block is None:
            return {}
        order = np.argsort(part.item, kind="stable")
        sides = {name: order[part.choice[order] == side] for side, name in enumerate(("queries", "texts"))}
        return {**sides, "block": part.block, "text": _texts(part)}

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        return _contrast(logits, **targets)


register(DualEncoder())


def _texts(part: Features) -> np.ndarray:
    """A number for each row, int64 [rows]; rows with the same tokens have the same number."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(part.ids[row].tobytes(), len(numbers)) for row in range(len(part))])


def _contrast(
    vectors: torch.Tensor, queries: torch.Tensor, texts: torch.Tensor, block: torch.Tensor, text: torch.Tensor
) -> torch.Tensor:
    """Sum the cross entropies of the queries over the texts of their block; their own text is right.

    A text that equals the right one, or that is the right one of an equal query, is left out of the candidates: it is
    no negative.

    Args:
        queries, texts: int64 [pairs], the rows of each pair's two sides.
        text: int64 [rows]; equal numbers are equal sequences.
    """
    scores = SCALE * vectors[queries] @ vectors[texts].T
    left_out = block[queries][:, None] != block[texts][None, :]
    left_out |= text[texts][:, None] == text[texts][None, :]
    left_out |= text[queries][:, None] == text[queries][None, :]
    left_out.fill_diagonal_(False)
    right = torch.arange(len(queries), device=vectors.device)
    return F.cross_entropy(scores.masked_fill(left_out, float("-inf")), right, reduction="sum")
