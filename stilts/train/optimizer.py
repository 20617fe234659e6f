"""AdamW as stages use it: learning rate, parameter groups, and heads that rest while a mixture trains another task.

Heads of a mixture. An optimizer step updates the encoder and the head of one task. The other heads keep their weights,
moments and step counts, as torch's optimizers do for parameters without a gradient (`HeadAdamW`). For each step of its
task, a head is therefore updated as if the task were trained alone. The same holds for the adapters of languages that
an optimizer step has no sequences of (X-MOD).
"""

import re
from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from stilts.experiment.recipe import Recipe
from stilts.train.model import Model, adapter_of

MOMENTS = ("exp_avg", "exp_avg_sq")
BETAS = (0.9, 0.999)

_NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)|mask_emb")
"""Matches the lower-case names of parameters without weight decay: the patterns of transformers' `Trainer`, and
`mask_emb` of XLNet, which is used in pretraining only and never has a gradient, so that decay alone would change it."""


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of a step.

    The rate rises linearly from 0 during the warm-up. Then it stays constant or falls linearly. It would reach 0 one
    step after the last, so that the last step still trains at 1 / (steps - warm-up) of the full rate, as in
    transformers.

    Args:
        step: number of the step, from 0.
        steps: number of steps of the stage.
    """
    warmup = recipe.warmup_steps(steps)
    if step < warmup:
        return recipe.learning_rate * step / warmup
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (steps - step) / max(1.0, steps - warmup)


class HeadAdamW(torch.optim.AdamW):
    """AdamW that skips parameter groups whose `active` is False, with their weights, moments and step counts.

    Attributes:
        grad_scale: a scalar by which torch's fused kernel divides the gradient while it reads it; may be missing.
    """

    grad_scale: torch.Tensor

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        groups = self.param_groups
        self.param_groups = [group for group in groups if group["active"]]
        try:
            return super().step(closure)
        finally:
            self.param_groups = groups

    def select(self, rate: float, parts: Collection[str] = ()) -> None:
        """Set the learning rate of the next step and select the parameters that it updates.

        Args:
            parts: names of the heads and language adapters that are updated together with the rest of the encoder. A
                model's only head is always updated.
        """
        for group in self.param_groups:
            group["active"] = group["part"] is None or group["part"] in parts
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def parameter_groups(model: Model, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups of the optimizer: one with and one without weight decay, for the encoder and for each head.

    As in transformers, weight decay applies to everything except biases and the weights of layer norms. If the model
    has several heads, the groups of a head have its name as `part`, and those of a language adapter the adapter's
    (`model.adapter_of`). All other groups have `part: None`.
    """
    groups: dict[tuple[str | None, float], list[nn.Parameter]] = {}
    several = len(model.heads) > 1
    modules: list[tuple[str | None, nn.Module]] = [(None, model.encoder)]
    modules += [(name if several else None, head) for name, head in model.heads.items()]
    for owner, module in modules:
        decayed = _decayed_names(module)
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                decay = weight_decay if name in decayed else 0.0
                groups.setdefault((owner or adapter_of(name), decay), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "part": part, "active": True}
        for (part, decay), parameters in groups.items()
    ]


def _decayed_names(module: nn.Module) -> set[str]:
    """Names, relative to the module, of the parameters that weight decay applies to."""
    names = set()
    for prefix, part in module.named_modules():
        for name, _ in part.named_parameters(prefix=prefix, recurse=False):
            if not isinstance(part, nn.LayerNorm | nn.RMSNorm) and not _NO_DECAY.search(name.lower()):
                names.add(name)
    return names
