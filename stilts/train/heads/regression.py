"""The head of regression: RoBERTa's classification head with one output, trained with the squared error."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from stilts.train.features import Features
from stilts.train.heads.base import FamilyHead, HeadSpec, SentenceHead, head_dropout
from stilts.train.heads.registry import register


class Regression(FamilyHead):
    """One number per sequence."""

    family = "regression"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return SentenceHead(config.hidden_size, 1, head_dropout(config))

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        return {"scores": part.numbers("score").astype(np.float32)} if "score" in part.columns else {}

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        return F.mse_loss(logits[:, 0], targets["scores"], reduction="sum")


register(Regression())
