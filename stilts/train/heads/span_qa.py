"""The head of span question answering: a linear layer on every token gives its scores as start and end."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from stilts.train.features import Features
from stilts.train.heads.base import FamilyHead, HeadSpec, TokenHead, arranged, head_dropout
from stilts.train.heads.registry import register


class SpanQA(FamilyHead):
    """A start and an end per sequence."""

    family = "span_qa"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return TokenHead(config.hidden_size, 2, head_dropout(config))

    def units(
        self, part: Features, first: np.ndarray, tokens: np.ndarray, last_token: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        return tokens, part.ids.lengths

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        if "start" not in part.columns:
            return {}
        ends = {name: part.numbers(name).astype(np.int64) for name in ("start", "end")}
        lengths = part.ids.lengths
        columns = np.arange(lengths.max())
        tokens = np.where(columns < lengths[:, None], part.ids.offsets[:-1, None] + columns, lengths.sum())
        return {**ends, "tokens": tokens}

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum over windows of the mean of both ends' losses.

        The softmax of a window runs over its own tokens, never over padding.
        """
        windows = arranged(logits, targets["tokens"])
        start = F.cross_entropy(windows[..., 0], targets["start"], reduction="sum")
        return (start + F.cross_entropy(windows[..., 1], targets["end"], reduction="sum")) / 2

    def by_sequence(self, outputs: np.ndarray, counts: list[int]) -> list[np.ndarray]:
        return np.split(outputs, np.cumsum(counts)[:-1])


register(SpanQA())
