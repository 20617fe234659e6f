"""Retrieval has no head: sentence vectors are pooled from a layer of the encoder (`Model.forward` with a Pooling)."""

from typing import Any

import numpy as np

from stilts.train.features import Features
from stilts.train.heads.base import FamilyHead, HeadSpec
from stilts.train.heads.registry import register


class Retrieval(FamilyHead):
    """One vector per sequence, from the encoder alone."""

    family = "retrieval"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> None:
        return None

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        return {}


register(Retrieval())
