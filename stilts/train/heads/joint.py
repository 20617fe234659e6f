"""The heads of joint labelling: a classification head on the class token, a linear layer on each word."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from stilts.tasks.families.joint import intents_and_tags
from stilts.train.features import IGNORED, Features
from stilts.train.heads.base import (
    FamilyHead,
    HeadInput,
    HeadSpec,
    SentenceHead,
    TokenHead,
    head_dropout,
    on_device,
)
from stilts.train.heads.registry import register

OTHER = -1e4
"""Score of the tags at a class token, and of the intents at a word: its share in a softmax is 0."""


class JointHead(nn.Module):
    """Scores of intents at class tokens, and of tags at words."""

    def __init__(self, hidden: int, intents: int, tags: int, dropout: float) -> None:
        super().__init__()
        self.intents = SentenceHead(hidden, intents, dropout)
        self.tags = TokenHead(hidden, tags, dropout)
        self.count = intents

    def forward(self, states: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        """[u, hidden] -> [u, intents + tags]

        Args:
            first: int64 [sequences], the units that are class tokens.
        """
        tags = self.tags(states).index_fill(0, first, OTHER)
        intents = tags.new_full((len(states), self.count), OTHER).index_copy(0, first, self.intents(states[first]))
        return torch.cat([intents, tags], dim=-1)


class Joint(FamilyHead):
    """Units are the class token of each sequence and the first subword of each of its words.

    The loss of a sequence is the cross entropy of its label plus the mean cross entropy of its tags, so that both count
    alike however long the text is.
    """

    family = "joint"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        intents, tags = intents_and_tags(spec.labels)
        return JointHead(config.hidden_size, len(intents), len(tags), head_dropout(config))

    def units(
        self, part: Features, first: np.ndarray, tokens: np.ndarray, last_token: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        positions = part.lists("positions")
        places = np.repeat(first, positions.lengths) + positions.values
        if last_token:
            places[positions.offsets[:-1]] = first + part.ids.lengths - 1
        return places, positions.lengths

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        if "classes" not in part.columns:
            return {}
        classes = part.lists("classes")
        words = np.maximum(classes.lengths - 1, 1)
        weights = np.repeat(1 / words, classes.lengths)
        weights[classes.offsets[:-1]] = 1
        return {"labels": classes.values.astype(np.int64), "weights": weights.astype(np.float32)}

    def logits(self, module: nn.Module, read: HeadInput) -> torch.Tensor:
        first = on_device(np.cumsum([0, *read.counts[:-1]]), read.states.device)
        scores: torch.Tensor = module(read.states, first)
        return scores

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        losses = F.cross_entropy(logits, targets["labels"], reduction="none", ignore_index=IGNORED)
        return (losses * targets["weights"]).sum()

    def by_sequence(self, outputs: np.ndarray, counts: list[int]) -> list[np.ndarray]:
        return np.split(outputs, np.cumsum(counts)[:-1])


register(Joint())
