"""Precision: casting a model's parameters to the precision that it computes in."""

from typing import Literal

import torch
from torch import nn

Precision = Literal["bf16", "fp32"]

DTYPES: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}


def set_precision(module: nn.Module, precision: str | torch.dtype) -> None:
    """Cast the parameters in place, and nothing else. Those that are divided over the ranks stay as they are.

    `Module.to` would cast buffers, too, among them the rotary frequencies of some encoders, whose rounding to bf16
    moves every token's angle. Parameters are rounded to nearest, as DeepSpeed rounds master weights: a stage's weights
    in fp32 on disk give in bf16 the very numbers that it was trained with.
    """
    dtype = precision if isinstance(precision, torch.dtype) else DTYPES[precision]
    for parameter in module.parameters():
        if parameter.numel() == 0:
            continue
        parameter.data = parameter.data.to(dtype)
