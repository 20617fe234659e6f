"""The head of classification: RoBERTa's classification head on the class token."""

from typing import Any

import numpy as np
from torch import nn

from stilts.train.features import Features
from stilts.train.heads.base import FamilyHead, HeadSpec, SentenceHead, head_dropout
from stilts.train.heads.registry import register


class Classification(FamilyHead):
    """One class per sequence."""

    family = "classification"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return SentenceHead(config.hidden_size, len(spec.labels), head_dropout(config))

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        return {"labels": part.numbers("label").astype(np.int64)} if "label" in part.columns else {}


register(Classification())
