"""The head of dependency parsing: deep biaffine attention (Dozat and Manning 2017, with their layer sizes).

The state of each word is projected four times, as a dependent and as a head, for arcs and for relations, and a bilinear
form scores every pair. The root is one more head, whose state is learned. The recurrent layer of the paper is left out,
because the encoder provides the states, and the dropout is that of the encoder, as in all heads. The head computes in
fp32, because bf16 scores often tie.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from stilts.train.features import IGNORED, Features, spans
from stilts.train.heads.base import HeadInput, HeadSpec, TokenUnits, head_dropout, on_device
from stilts.train.heads.registry import register

ARC_SIZE = 500
RELATION_SIZE = 100
ROOT_RELATION = 0
"""Label of the relation of the word below the root, which no other arc may have."""


class Projection(nn.Linear):
    """Linear, leaky ReLU and dropout, with a constant 1 appended."""

    def __init__(self, hidden: int, size: int, dropout: float) -> None:
        super().__init__(hidden, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., hidden] -> [..., size + 1]"""
        hidden = F.leaky_relu(F.linear(states.float(), self.weight.float(), self.bias.float()), 0.1)
        return F.pad(self.dropout(hidden), (0, 1), value=1.0)


class BiaffineHead(nn.Module):
    """Scores of every arc within a sequence, and of every relation on it."""

    def __init__(self, hidden: int, relations: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.root = nn.Parameter(torch.zeros(hidden))
        self.arc_dependent = Projection(hidden, ARC_SIZE, dropout)
        self.arc_head = Projection(hidden, ARC_SIZE, dropout)
        self.relation_dependent = Projection(hidden, RELATION_SIZE, dropout)
        self.relation_head = Projection(hidden, RELATION_SIZE, dropout)
        self.arcs = nn.Parameter(torch.zeros(1, ARC_SIZE + 1, ARC_SIZE + 1))
        self.relations = nn.Parameter(torch.zeros(relations, RELATION_SIZE + 1, RELATION_SIZE + 1))

    def forward(self, states: torch.Tensor, counts: list[int]) -> torch.Tensor:
        """Score the words of several sequences.

        Args:
            states: [u, hidden], the words' states, sequence after sequence.
            counts: words of each sequence.

        Returns:
            fp32 [u, longest + 1, 1 + relations]: of each word's arc from the root (0) and from each word of its
            sequence (from 1), then of the relations on that arc. Arcs from the word itself and from beyond the
            sequence's end have minus infinity.
        """
        words = pad_sequence(list(self.dropout(states).split(counts)), batch_first=True)
        heads = torch.cat([self.root.to(words.dtype).expand(len(words), 1, -1), words], dim=1)
        arcs = _pairs(self.arc_dependent(words), self.arcs, self.arc_head(heads))
        relations = _pairs(self.relation_dependent(words), self.relations, self.relation_head(heads))
        lengths = on_device(counts, states.device)
        arcs = arcs.masked_fill(_impossible(lengths, words.shape[1])[..., None], float("-inf"))
        starts = np.arange(len(counts)) * words.shape[1]
        real = on_device(spans(starts, np.asarray(counts)), states.device)
        return torch.cat([arcs, relations], dim=-1).flatten(0, 1)[real]


def _pairs(dependents: torch.Tensor, forms: torch.Tensor, heads: torch.Tensor) -> torch.Tensor:
    """[s, n, d], [r, d, d], [s, n + 1, d] -> [s, n, n + 1, r]"""
    return torch.einsum("snd,rde,sme->snmr", dependents, forms.float(), heads)


def _impossible(lengths: torch.Tensor, longest: int) -> torch.Tensor:
    """Whether there can be no arc to each word from each head: [s, n, n + 1]."""
    heads = torch.arange(longest + 1, device=lengths.device)
    beyond = heads > lengths[:, None]
    return beyond[:, None, :] | (heads == heads[1:, None])


def parsing_loss(scores: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
    """Summed over words: cross entropy of the head among all heads, and of the relation on the arc from the right one.

    Args:
        scores: what BiaffineHead returns.
        targets: `heads` and `labels`, int64 [u]; IGNORED where a word has no gold or its head is in another sequence.
    """
    heads = targets["heads"]
    words = torch.arange(len(heads), device=heads.device)
    relations = scores[words, heads.clamp(min=0), 1:]
    arc = F.cross_entropy(scores[..., 0], heads, reduction="sum", ignore_index=IGNORED)
    return arc + F.cross_entropy(relations, targets["labels"], reduction="sum", ignore_index=IGNORED)


def best_relations(scores: torch.Tensor) -> torch.Tensor:
    """What decoding needs of BiaffineHead's scores: [u, longest + 1, 2], each arc's score and its best relation (the
    root's own left out)."""
    relations = scores[..., 1:].clone()
    relations[..., ROOT_RELATION] = float("-inf")
    return torch.stack([scores[..., 0], relations.argmax(dim=-1).float()], dim=-1)


class Parsing(TokenUnits):
    """A head and a relation per word."""

    family = "parsing"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return BiaffineHead(config.hidden_size, len(spec.labels), head_dropout(config))

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        targets = super().targets(part)
        return {**targets, "heads": part.lists("heads").values.astype(np.int64)} if targets else {}

    def logits(self, module: nn.Module, read: HeadInput) -> torch.Tensor:
        return module(read.states, read.counts)

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        return parsing_loss(logits, targets)

    def decodable(self, logits: torch.Tensor) -> torch.Tensor:
        return best_relations(logits)

    def by_sequence(self, outputs: np.ndarray, counts: list[int]) -> list[np.ndarray]:
        """Split the outputs and cut off the heads beyond the end of a shorter sequence: [words, words + 1, 2]."""
        return [part[:, : len(part) + 1] for part in super().by_sequence(outputs, counts)]


register(Parsing())
