"""The head of multiple choice: a score for each choice; the choices of a question compete in one softmax."""

from typing import Any

import numpy as np
import torch
from torch import nn

from stilts.train.features import Features
from stilts.train.heads.base import FamilyHead, HeadSpec, SentenceHead, head_dropout
from stilts.train.heads.registry import register


class MultipleChoice(FamilyHead):
    """One score per sequence, and one right sequence per item."""

    family = "multiple_choice"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return SentenceHead(config.hidden_size, 1, head_dropout(config))

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        """Return the right choice of each item, and the item and the choice of each sequence."""
        if "label" not in part.columns:
            return {}
        _, where, group = np.unique(part.item, return_index=True, return_inverse=True)
        labels = part.numbers("label")[where].astype(np.int64)
        return {"labels": labels, "group": group, "choice": part.choice.astype(np.int64)}

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        return super().loss_sum(_by_item(logits[:, 0], targets["group"], targets["choice"]), targets)


register(MultipleChoice())


def _by_item(logits: torch.Tensor, group: torch.Tensor, choice: torch.Tensor) -> torch.Tensor:
    """Reshape [sequences] to [items, most choices], with minus infinity for choices that an item does not have."""
    size = (int(group.max()) + 1, int(choice.max()) + 1)
    return logits.new_full(size, float("-inf")).index_put((group, choice), logits)
