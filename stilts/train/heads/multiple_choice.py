"""The head of multiple choice: a score for each choice; the choices of a question compete in one softmax."""

from typing import Any

import numpy as np
import torch
from torch import nn

from stilts.train.features import Features
from stilts.train.heads.base import FamilyHead, HeadSpec, SentenceHead, arranged, head_dropout
from stilts.train.heads.registry import register


class MultipleChoice(FamilyHead):
    """One score per sequence, and one right sequence per item."""

    family = "multiple_choice"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return SentenceHead(config.hidden_size, 1, head_dropout(config))

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        """Return the right choice of each item, and the sequences of each item in the order of its choices."""
        if "label" not in part.columns:
            return {}
        _, where, group = np.unique(part.item, return_index=True, return_inverse=True)
        choices = np.full((len(where), int(part.choice.max()) + 1), len(part))
        choices[group, part.choice] = np.arange(len(part))
        return {"labels": part.numbers("label")[where].astype(np.int64), "choices": choices}

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        return super().loss_sum(arranged(logits[:, 0], targets["choices"]), targets)


register(MultipleChoice())
