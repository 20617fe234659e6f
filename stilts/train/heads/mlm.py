"""The head of masked language modelling, tied to the input embeddings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from stilts.encoders.architectures import Architecture, architecture
from stilts.train.features import Features
from stilts.train.heads.base import HeadInput, HeadSpec, StepContext, TokenUnits
from stilts.train.heads.language_head import continue_language_head, continue_trained_head
from stilts.train.heads.registry import register
from stilts.train.heads.vocabulary_loss import vocabulary_loss
from stilts.train.masking import DEFAULT_PROBABILITY, mask_tokens


class ProjectionHead(nn.Module):
    """XLM's masked language modelling head: the input embeddings as output weights (tied), and a bias.

    A checkpoint whose output layer is not tied (EuroBERT) brings a `weight` of its own.
    """

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.weight: nn.Parameter | None
        self.register_parameter("weight", None)

    def transformed(self, states: torch.Tensor) -> torch.Tensor:
        """What is projected: [u, hidden] -> [u, embedding]."""
        return states

    def forward(self, states: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """[u, hidden], [vocabulary, embedding] -> [u, vocabulary]"""
        return F.linear(self.transformed(states), embeddings if self.weight is None else self.weight, self.bias)

    def loss(self, states: torch.Tensor, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The sum of the cross entropies of the scores that `forward` returns, without keeping them."""
        weight = embeddings if self.weight is None else self.weight
        return vocabulary_loss(self.transformed(states), weight, self.bias, labels)


class LanguageHead(ProjectionHead):
    """The language head of all other encoders: dense, GELU and layer norm before the projection."""

    def __init__(self, hidden: int, embedding: int, vocab_size: int, epsilon: float) -> None:
        super().__init__(vocab_size)
        self.dense = nn.Linear(hidden, embedding)
        self.layer_norm = nn.LayerNorm(embedding, eps=epsilon)

    def transformed(self, states: torch.Tensor) -> torch.Tensor:
        return self.layer_norm(F.gelu(self.dense(states)))


class MaskedLanguageModelling(TokenUnits):
    """A word of the vocabulary per masked token. The tokens are drawn for each optimizer step."""

    family = "mlm"
    reads_embeddings = True

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        if not architecture(config.model_type).transform:
            return ProjectionHead(config.vocab_size)
        epsilon = getattr(config, architecture(config.model_type).epsilon, 1e-5)
        return LanguageHead(config.hidden_size, embedding, config.vocab_size, epsilon)

    def continue_from(self, module: nn.Module, weights: Path, architecture: Architecture) -> None:
        continue_language_head(module, weights, architecture)

    def continue_from_heads(self, module: nn.Module, heads: Sequence[tuple[HeadSpec, nn.Module]]) -> None:
        trained = [head for spec, head in heads if spec.family == self.family]
        continue_trained_head(module, trained[0].state_dict() if trained else None, "the parent")

    def step(self, rows: Features, context: StepContext) -> Features:
        tokenizer = context.tokenizer
        probability = context.recipe.mlm_probability or DEFAULT_PROBABILITY
        special, mask = tokenizer.all_special_ids, tokenizer.mask_token_id
        return mask_tokens(rows, probability, special, mask, context.vocab_size, context.seed)

    def logits(self, module: nn.Module, read: HeadInput) -> torch.Tensor:
        return module(read.states, read.embeddings())

    def loss(self, module: nn.Module, read: HeadInput, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        loss: torch.Tensor = module.loss(read.states, read.embeddings(), targets["labels"])  # type: ignore[operator]
        return loss


register(MaskedLanguageModelling())
