"""The torch side of the task families, one file per family. See `base.FamilyHead`, the contract."""

from stilts.train.heads.base import FamilyHead, HeadInput, HeadSpec, StepContext, head_dropout
from stilts.train.heads.registry import head_of, heads_of, make_head, register

__all__ = [
    "FamilyHead",
    "HeadInput",
    "HeadSpec",
    "StepContext",
    "head_dropout",
    "head_of",
    "heads_of",
    "make_head",
    "register",
]
