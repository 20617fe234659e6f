"""The head of tagging: a linear layer on the first subword of each word."""

from typing import Any

from torch import nn

from stilts.train.heads.base import HeadSpec, TokenHead, TokenUnits, head_dropout
from stilts.train.heads.registry import register


class Tagging(TokenUnits):
    """One class per word."""

    family = "tagging"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return TokenHead(config.hidden_size, len(spec.labels), head_dropout(config))


register(Tagging())
