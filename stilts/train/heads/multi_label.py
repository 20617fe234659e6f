"""The head of multi-label classification: one logit for each label, trained with the binary cross entropy."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from stilts.train.features import Features
from stilts.train.heads.base import FamilyHead, HeadSpec, SentenceHead, head_dropout
from stilts.train.heads.registry import register


class MultiLabel(FamilyHead):
    """One logit per label and sequence. The loss of a sequence is the mean over its labels."""

    family = "multi_label"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return SentenceHead(config.hidden_size, len(spec.labels), head_dropout(config))

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        if "marks" not in part.columns:
            return {}
        return {"marks": part.lists("marks").values.reshape(len(part), -1).astype(np.float32)}

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        losses = F.binary_cross_entropy_with_logits(logits, targets["marks"], reduction="none")
        return losses.mean(dim=-1).sum()


register(MultiLabel())
