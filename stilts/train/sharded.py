"""Load an encoder that is divided over the ranks of a gang from the start (ZeRO 3), without a whole copy on any rank.

The encoder is made without weights. Then each tensor is read from the checkpoint's files by itself, divided over the
ranks, and freed before the next one is read. So a rank holds its part of the weights, one tensor, and the input
embedding, which stays whole until training has chosen the rows of it that it needs (see `rows.py`).

This needs tensors under the names that the encoder itself gives them, with or without the prefix of a model with a
head. The tensors of some architectures are stored in another form, which transformers converts while it loads them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import nn
from transformers import AutoConfig, AutoModel

from stilts.encoders.checkpoint_files import tensor_files


class ShardedWeights:
    """The tensors of an encoder in the files of a checkpoint.

    Args:
        encoder: it may be without weights.
        weights: folder of the checkpoint.

    Attributes:
        complete: whether every parameter of the encoder has a tensor under its own name.
    """

    def __init__(self, encoder: Any, weights: Path) -> None:
        files = tensor_files(weights)
        prefix = f"{encoder.base_model_prefix}."
        names = {name for name, _ in encoder.named_parameters()}
        found = {name: next((n for n in (name, prefix + name) if n in files), None) for name in names}
        self._places = {name: (files[stored], stored) for name, stored in found.items() if stored is not None}
        self.complete = set(self._places) == names

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> torch.Tensor:
        """A parameter's tensor in fp32, on the CPU. The file is closed again, so that no more of it stays mapped."""
        file, stored = self._places[name]
        with safe_open(file, framework="pt") as stream:
            value: torch.Tensor = stream.get_tensor(stored)
        return value.float()


def load_sharded(weights: Path, config: Mapping[str, Any], dtype: torch.dtype, device: torch.device) -> Any | None:
    """The encoder of a checkpoint folder, divided over the ranks (collective); None if it cannot be loaded in parts.

    Its attribute `sharded_weights` is the `ShardedWeights` that its parameters were read from.

    Args:
        config: DeepSpeed's configuration.
        dtype: precision of the forward pass, in which the parts are held.
    """
    import deepspeed

    settings = AutoConfig.from_pretrained(weights, trust_remote_code=False, local_files_only=True)
    with _without_weights():
        encoder: Any = AutoModel.from_config(settings, dtype=torch.float32, trust_remote_code=False)
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    source = ShardedWeights(encoder, weights)
    if not source.complete:
        return None
    whole = encoder.get_input_embeddings()
    for prefix, module in reversed(list(encoder.named_modules())):  # children before their parents
        own = [name for name, _ in module.named_parameters(recurse=False)]
        for name in own:
            value = source[f"{prefix}.{name}" if prefix else name]
            setattr(module, name, nn.Parameter(value.to(device, torch.float32 if module is whole else dtype)))
        if own and module is not whole:
            deepspeed.zero.Init(module=module, config_dict_or_path=dict(config))
    encoder.sharded_weights = source
    return encoder.eval()


def is_divided(parameter: torch.Tensor) -> bool:
    """Whether a rank holds only its part of a parameter now (ZeRO 3)."""
    return hasattr(parameter, "ds_id") and parameter.numel() == 0


def part_of_rank(parameter: Any, value: torch.Tensor) -> torch.Tensor:
    """This rank's part of a tensor under ZeRO 3; the part of the last rank is padded with zeros.

    DeepSpeed 0.19 can divide a tensor itself only if its size is a multiple of the number of ranks.
    """
    size, world, rank = parameter.ds_tensor.numel(), dist.get_world_size(), dist.get_rank()
    whole = torch.nn.functional.pad(value.flatten(), (0, size * world - value.numel()))
    return whole[size * rank : size * (rank + 1)]


@contextmanager
def _without_weights() -> Iterator[None]:
    """Modules that are made in this context have parameters without memory, and buffers with their values."""
    register = nn.Module.register_parameter

    def without_memory(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        register(module, name, None if parameter is None else nn.Parameter(parameter.to("meta")))

    nn.Module.register_parameter = without_memory  # type: ignore
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore
