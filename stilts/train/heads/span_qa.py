"""The head of span question answering: a linear layer on every token gives its scores as start and end."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from stilts.train.features import Features
from stilts.train.heads.base import FamilyHead, HeadSpec, TokenHead, head_dropout
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
        return {**ends, "lengths": part.ids.lengths}

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum over windows of the mean of both ends' losses.

        The softmax of a window runs over its own tokens, never over padding.
        """
        starts, ends = _windows(logits, targets["lengths"])
        start = F.cross_entropy(starts, targets["start"], reduction="sum")
        return (start + F.cross_entropy(ends, targets["end"], reduction="sum")) / 2

    def by_sequence(self, outputs: np.ndarray, counts: list[int]) -> list[np.ndarray]:
        return np.split(outputs, np.cumsum(counts)[:-1])


register(SpanQA())


def _windows(logits: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Reshape [tokens, 2] to two tensors [windows, longest], with minus infinity after a window's end."""
    padded = nn.utils.rnn.pad_sequence(
        list(logits.split(lengths.tolist())), batch_first=True, padding_value=float("-inf")
    )
    return padded[..., 0], padded[..., 1]
