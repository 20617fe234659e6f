"""Find a checkpoint's masked language modelling head by the names of its tensors. Needs no torch."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from stilts.encoders.architectures import Architecture, Config

_MARK = re.compile(
    r"(?:^|\.)(?:lm_head|predictions|lm_predictions|pred_layer|generator_\w+|vocab_\w+|mlm\w*|decoder)\."
)
"""Parts of tensor names that show that a checkpoint has a masked language modelling head of some kind."""
_MODULES = ("dense", "layer_norm")


@dataclass(frozen=True)
class LanguageTensors:
    """A checkpoint's head.

    Attributes:
        tensors: parameter of stilts' head -> name in the checkpoint.
        zeros: parameters that the checkpoint lacks and that start at zero, which changes nothing of the head.
        problem: why the head cannot be continued; empty if it can.
    """

    tensors: Mapping[str, str] = field(default_factory=dict)
    zeros: tuple[str, ...] = ()
    problem: str = ""


def find_language_head(config: Config, names: Collection[str], facts: Architecture) -> LanguageTensors | None:
    """Find the tensors of the masked language modelling head in a checkpoint; None if it has no such head.

    Args:
        config: the fields of its config.json.
        names: the names of all its tensors.
    """
    modern = {_modern(name): name for name in names}
    untied = config.get("tie_word_embeddings", facts.tied) is False
    for naming in facts.pretrained_heads:
        found = _match(naming, modern, facts, untied)
        if found is not None:
            return found
    head = sorted(name for name in names if _MARK.search(name))
    if not head:
        return None
    kind = config.get("model_type", "")
    return LanguageTensors(
        problem=f"the checkpoint has a masked language modelling head ({head[0]} ...) that stilts does not know how to "
        f"continue for the model type {kind!r}; leave the stages of mlm out, or add the names of its tensors to "
        f"stilts/encoders/library"
    )


def _match(
    naming: Mapping[str, str], stored: Mapping[str, str], facts: Architecture, untied: bool
) -> LanguageTensors | None:
    wanted = {"bias": naming["bias"]}
    if facts.transform:
        wanted |= {f"{m}.{part}": f"{naming[m]}.{part}" for m in _MODULES for part in ("weight", "bias")}
    if untied:
        wanted["weight"] = naming["weight"]
        own_bias = naming["weight"].removesuffix("weight") + "bias"
        wanted["bias"] = own_bias if own_bias in stored else naming["bias"]
    there = {ours: stored[theirs] for ours, theirs in wanted.items() if theirs in stored}
    lacking = set(wanted) - set(there)
    optional = {name for name in lacking if name.endswith("bias")} if facts.optional_biases else set()
    if lacking - optional or not (there or (not facts.transform and naming["weight"] in stored)):
        return None
    return LanguageTensors(there, tuple(sorted(optional)))


def _modern(name: str) -> str:
    """BERT's first checkpoints call a norm's weight gamma and its bias beta."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
