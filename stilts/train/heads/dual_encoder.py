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
        return {} if part.block is None else {"pair": part.item, "side": part.choice, "block": part.block}

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        return _contrast(logits, **targets)


register(DualEncoder())


def _contrast(vectors: torch.Tensor, pair: torch.Tensor, side: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    """Sum the cross entropies of queries (side 0) over the texts (side 1) of their block; their own text is right."""
    order = torch.argsort(pair, stable=True)
    queries, texts = (order[side[order] == number] for number in (0, 1))
    scores = SCALE * vectors[queries] @ vectors[texts].T
    elsewhere = block[queries][:, None] != block[texts][None, :]
    right = torch.arange(len(queries), device=vectors.device)
    return F.cross_entropy(scores.masked_fill(elsewhere, float("-inf")), right, reduction="sum")
