"""The head of semantic role labelling: each word beside its predicate (Shi and Lin 2019)."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from stilts.train.heads.base import HeadInput, HeadSpec, OutputLayer, TokenUnits, head_dropout, on_device
from stilts.train.heads.registry import register


class RoleHead(nn.Module):
    """Concatenate the states of a word and its predicate; dense, GELU, linear. The recurrent layer is left out.

    A learned indicator is added to the predicate's own state.
    """

    def __init__(self, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.indicator = nn.Parameter(torch.randn(hidden) * 0.02)
        self.dense = nn.Linear(2 * hidden, hidden)
        self.output = OutputLayer(hidden, outputs)

    def forward(self, states: torch.Tensor, units: torch.Tensor, counts: list[int]) -> torch.Tensor:
        """[u, hidden] -> [u, outputs]

        Args:
            units: positions of the states in the batch: equal numbers are one state.
            counts: number of states of each sequence; the predicate's is the last.
        """
        predicate = on_device(np.repeat(np.cumsum(counts) - 1, counts), states.device)
        marked = states + (units == units[predicate])[:, None] * self.indicator
        pairs = self.dropout(torch.cat([marked, marked[predicate]], dim=-1))
        return self.output(self.dropout(F.gelu(self.dense(pairs))))


class SemanticRoles(TokenUnits):
    """One class per word; the last unit of each sequence is its predicate."""

    family = "srl"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return RoleHead(config.hidden_size, len(spec.labels), head_dropout(config))

    def logits(self, module: nn.Module, read: HeadInput) -> torch.Tensor:
        return module(read.states, read.units, read.counts)


register(SemanticRoles())
