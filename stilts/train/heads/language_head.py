"""Continue the masked language modelling head that a checkpoint holds, instead of starting a random one."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from stilts.encoders.architectures import Architecture
from stilts.encoders.checkpoint_files import CONFIG, tensor_files
from stilts.encoders.language_heads import LanguageTensors, find_language_head
from stilts.errors import StiltsError

log = logging.getLogger(__name__)

HEAD_CONFIG = "head.json"
HEAD_WEIGHTS = "head.safetensors"


def continue_language_head(head: nn.Module, weights: Path, facts: Architecture) -> None:
    """Load the head that an earlier stage or pretraining left in a folder; leave `head` as it is if there is none.

    Raises:
        StiltsError: the folder has a head that stilts does not know how to continue.
    """
    if (weights / HEAD_CONFIG).is_file():
        _continue_stage(head, weights)
        return
    config = json.loads((weights / CONFIG).read_text(encoding="utf-8"))
    found = find_language_head(config, tensor_files(weights), facts)
    if found is None:
        log.warning("%s: the checkpoint has no masked language modelling head; a random one is trained", weights)
        return
    if found.problem:
        raise StiltsError(f"{weights}: {found.problem}")
    _load(head, weights, found)


def continue_trained_head(head: nn.Module, tensors: Mapping[str, torch.Tensor] | None, parent: str) -> None:
    """Load the tensors of the head that a stage has trained; leave `head` as it is if the stage has no such head.

    Args:
        parent: the stage, for the warning.
    """
    if tensors is None:
        log.warning("%s: the stage has no masked language modelling head; a random one is trained", parent)
        return
    _adopt(head, tensors)


def _continue_stage(head: nn.Module, weights: Path) -> None:
    saved = json.loads((weights / HEAD_CONFIG).read_text(encoding="utf-8"))
    names = [spec["name"] for spec in saved["heads"] if spec["family"] == "mlm"]
    if not names:
        continue_trained_head(head, None, str(weights))
        return
    prefix = f"{names[0]}."
    tensors = load_file(weights / HEAD_WEIGHTS)
    found = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    continue_trained_head(head, found, str(weights))


def _load(head: nn.Module, weights: Path, found: LanguageTensors) -> None:
    files = tensor_files(weights)
    values = {ours: _tensor(theirs, files[theirs]) for ours, theirs in found.tensors.items()}
    for name, value in head.state_dict().items():
        if name not in values and name in found.zeros:
            values[name] = torch.zeros_like(value)
    _adopt(head, values)


def _adopt(head: nn.Module, values: Mapping[str, torch.Tensor]) -> None:
    """Load the values; an output layer of its own, not tied to the input embeddings, becomes a parameter."""
    if "weight" in values:
        head.weight = nn.Parameter(torch.empty_like(values["weight"], dtype=torch.float32))
    try:
        head.load_state_dict(dict(values))
    except RuntimeError as error:
        reason = str(error).strip().rpartition("\n")[2].strip()
        raise StiltsError(
            f"the masked language modelling head does not fit the encoder's config.json: {reason}"
        ) from None


def _tensor(name: str, file: Path) -> torch.Tensor:
    with safe_open(file, framework="pt") as stream:
        return stream.get_tensor(name)
