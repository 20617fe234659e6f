"""The DeepSpeed engine of a stage: its configuration, its optimizer, and access to unsharded tensors.

Precision. The optimizer updates fp32 weights (the master weights), whatever the precision of the forward pass. With
`precision: bf16`, each backward pass computes bf16 gradients, which are accumulated over micro-batches, reduced over
ranks and clipped in fp32. This requires DeepSpeed's communication data type to be set to fp32. In bf16 training it is
bf16 by default, which would round the sums to 8 bits of precision before the gradient norm is computed.

ZeRO stages. Stage 0 is used in fp32 only, because DeepSpeed's bf16 optimizer for stage 0 is its fp16 optimizer with
loss scaling. In bf16 at least stage 1 is used, which computes the same numbers. In fp32 on one rank there is nothing to
shard, so that stage 1 is replaced by stage 0, whose steps take less than half the time (measured on a CPU with 14M
parameters).

Heads of a mixture. An optimizer step updates the encoder and the head of one task. The other heads keep their weights,
moments and step counts, as torch's optimizers do for parameters without a gradient (`HeadAdamW`). For each step of its
task, a head is therefore updated as if the task were trained alone.

`managed_gradient_accumulation: False` makes `engine.step()` an optimizer step after any number of backward passes.
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.model import Model
from stilts.train.ranks import Ranks

MOMENTS = ("exp_avg", "exp_avg_sq")
BUCKET = 50_000_000
"""Largest number of elements in one reduction or all-gather."""

_NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)|mask_emb")
"""Matches the lower-case names of parameters without weight decay: the patterns of transformers' `Trainer`, and
`mask_emb` of XLNet, which is used in pretraining only and never has a gradient, so that decay alone would change it."""


class HeadAdamW(torch.optim.AdamW):
    """AdamW that skips parameter groups whose `active` is False, with their weights, moments and step counts."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        groups = self.param_groups
        self.param_groups = [group for group in groups if group["active"]]
        try:
            return super().step(closure)
        finally:
            self.param_groups = groups


def engine_config(recipe: Recipe, runtime: Runtime, world: int, parameters: int) -> dict[str, Any]:
    """DeepSpeed's configuration for a stage.

    Args:
        world: number of ranks.
        parameters: number of the model's parameters, which limits the size of the communication buckets.
    """
    bf16 = recipe.precision == "bf16"
    stage = runtime.zero_stage
    if bf16:
        stage = max(stage, 1)
    elif stage == 1 and world == 1:
        stage = 0
    bucket = min(BUCKET, parameters + parameters % 2)  # DeepSpeed requires an even number
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": recipe.max_grad_norm,
        "communication_data_type": "fp32",
        "zero_optimization": {
            "stage": stage,
            "overlap_comm": False,
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
        },
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
    }
    if bf16:
        config["bf16"] = {"enabled": True}
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    return config


def parameter_groups(model: Model, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups of the optimizer: one with and one without weight decay, for the encoder and for each head.

    As in transformers, weight decay applies to everything except biases and the weights of layer norms. If the model
    has several heads, the groups of a head have its name as `head`. All other groups have `head: None`.
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
                groups.setdefault((owner, decay), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "head": head, "active": True}
        for (head, decay), parameters in groups.items()
    ]


def _decayed_names(module: nn.Module) -> set[str]:
    """Names, relative to the module, of the parameters that weight decay applies to."""
    names = set()
    for prefix, part in module.named_modules():
        for name, _ in part.named_parameters(prefix=prefix, recurse=False):
            if not isinstance(part, nn.LayerNorm | nn.RMSNorm) and not _NO_DECAY.search(name.lower()):
                names.add(name)
    return names


def make_engine(model: Model, recipe: Recipe, runtime: Runtime, ranks: Ranks) -> Any:
    """Create a DeepSpeed engine for a model in fp32, with AdamW at learning rate 0 (the loop sets each rate).

    The master weights are bit-identical to the model's weights. The moments are created here and not at the first step,
    so that a resume state can be written and loaded at any step.
    """
    import deepspeed

    optimizer = HeadAdamW(
        parameter_groups(model, recipe.weight_decay),
        lr=0.0,
        betas=(0.9, 0.999),
        eps=recipe.adam_epsilon,
        fused=True,
    )
    config = engine_config(recipe, runtime, ranks.world, sum(p.numel() for p in model.parameters()))
    # DeepSpeed casts the model to bf16 before it copies the master weights, and casts buffers too. They are restored
    # afterwards, because rotary frequencies rounded to bf16 would change the angle of every position.
    weights = {name: parameter.detach().cpu().clone() for name, parameter in model.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers() if buffer.is_floating_point()}
    with contextlib.redirect_stdout(io.StringIO()):  # its bf16 optimizer prints memory statistics
        engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config, dist_init_required=False)
    for name, buffer in model.named_buffers():
        if name in buffers:
            buffer.data = buffers[name].to(buffer.device)
    for name, parameter in model.named_parameters():
        if not _is_plain(parameter):
            _set_master(parameter, weights.pop(name).to(ranks.device))
    _create_moments(engine)
    return engine


def set_learning_rate(engine: Any, rate: float, head: str | None = None) -> None:
    """Set the learning rate of the next optimizer step and select the parameters that it updates.

    Args:
        rate: the learning rate.
        head: name of the head that is updated together with the encoder. It has no effect if the model has only one
            head, which is always updated.
    """
    for group in engine.optimizer.param_groups:
        group["active"] = group["head"] in (None, head)
        group["lr"] = rate


def optimizer_step(engine: Any) -> None:
    """Run one optimizer step and set all gradients to zero.

    ZeRO 3 keeps gradients in a flat buffer that DeepSpeed does not clear. If the next step does not compute a gradient
    for a parameter, such as the head of another task, its old gradient would be applied again.
    """
    engine.step()
    stale = getattr(engine.optimizer, "grad_partitions_flat_buffer", None)
    if stale is not None:
        stale.zero_()


def full_weights(engine: Any) -> dict[str, torch.Tensor]:
    """The unsharded fp32 master weights of all parameters, on the CPU of every rank (collective)."""
    return {name: _master(engine, parameter).cpu().clone() for name, parameter in engine.module.named_parameters()}


def _master(engine: Any, parameter: torch.Tensor) -> torch.Tensor:
    """The unsharded fp32 master weight of a parameter (collective)."""
    from deepspeed.utils import safe_get_full_fp32_param

    if _is_plain(parameter):
        return parameter.data.float()
    value: torch.Tensor = safe_get_full_fp32_param(parameter)
    return value


def optimizer_state(engine: Any, keep: bool) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the unsharded fp32 weight and both moments of every parameter, on the CPU (collective).

    The names are `weight.NAME`, `exp_avg.NAME` and `exp_avg_sq.NAME`. They do not depend on the number of ranks or on
    the ZeRO stage. Step counts are not included, because they follow from the step schedule.

    Args:
        keep: whether to yield the tensors on this rank. A rank without `keep` takes part in the collectives only.
    """
    from deepspeed.utils import safe_get_full_optimizer_state

    _link_moments(engine)
    for name, parameter in engine.module.named_parameters():
        for key in ("weight", *MOMENTS):
            if key == "weight":
                value = _master(engine, parameter)
            elif _is_plain(parameter):
                value = engine.optimizer.state[parameter][key]
            else:
                value = safe_get_full_optimizer_state(parameter, key)
            if keep:
                yield f"{key}.{name}", value.cpu().clone()


def restore_optimizer_state(
    engine: Any, fetch: Callable[[str, torch.Size], torch.Tensor], steps: Mapping[str | None, int]
) -> None:
    """Load weights, moments and step counts into a new engine whose model already has the weights (collective).

    Args:
        fetch: returns the unsharded tensor with a name and a shape, on the engine's device.
        steps: number of optimizer steps that have updated each head, by name; under None, the number of all steps, each
            of which has updated the encoder.
    """
    from deepspeed.utils import safe_set_full_optimizer_state, safe_set_local_optimizer_state

    _link_moments(engine)
    for name, parameter in engine.module.named_parameters():
        shape = getattr(parameter, "ds_shape", parameter.shape)
        _set_master(parameter, fetch(f"weight.{name}", shape))
        for key in MOMENTS:
            value = fetch(f"{key}.{name}", shape)
            if _is_plain(parameter):
                engine.optimizer.state[parameter][key].copy_(value)
            elif hasattr(parameter, "ds_id"):
                safe_set_local_optimizer_state(parameter, _partition(parameter, value), key)
            else:
                safe_set_full_optimizer_state(parameter, value, key)
    state = _torch_optimizer(engine).state
    for tensor, group in _updated_tensors(engine):
        state[tensor]["step"].fill_(steps[group["head"]])


def _set_master(parameter: torch.Tensor, value: torch.Tensor) -> None:
    """Set the fp32 master weight of a parameter from the unsharded tensor, on the engine's device (collective)."""
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_local_fp32_param

    if _is_plain(parameter):
        parameter.data.copy_(value)
    elif hasattr(parameter, "ds_id"):
        safe_set_local_fp32_param(parameter, _partition(parameter, value))
    else:
        safe_set_full_fp32_param(parameter, value)


def _partition(parameter: Any, value: torch.Tensor) -> torch.Tensor:
    """This rank's shard of a tensor under ZeRO 3; the shard of the last rank is padded with zeros.

    DeepSpeed 0.19 can shard a tensor itself only if its size is a multiple of the number of ranks.
    """
    size, world, rank = parameter.ds_tensor.numel(), dist.get_world_size(), dist.get_rank()
    whole = torch.nn.functional.pad(value.flatten(), (0, size * world - value.numel()))
    return whole[size * rank : size * (rank + 1)]


def _torch_optimizer(engine: Any) -> torch.optim.Optimizer:
    """The `HeadAdamW` inside the engine."""
    optimizer: torch.optim.Optimizer = getattr(engine.optimizer, "optimizer", engine.optimizer)
    return optimizer


def _updated_tensors(engine: Any) -> Iterator[tuple[torch.Tensor, dict[str, Any]]]:
    """The tensors that AdamW updates, each with its parameter group: parameters, or flat fp32 shards under ZeRO."""
    optimizer, groups = engine.optimizer, _torch_optimizer(engine).param_groups
    if hasattr(optimizer, "fp32_partitioned_groups_flat"):  # ZeRO 3: several sub-groups may belong to one group
        for index, tensor in enumerate(optimizer.fp32_partitioned_groups_flat):
            yield tensor, groups[optimizer.sub_group_to_group_id[index]]
    elif hasattr(optimizer, "single_partition_of_fp32_groups"):  # ZeRO 1 and 2
        yield from zip(optimizer.single_partition_of_fp32_groups, groups, strict=True)
    else:
        yield from ((tensor, group) for group in groups for tensor in group["params"])


def _create_moments(engine: Any) -> None:
    """Create AdamW's state. Torch would create it at the first step of each tensor, which may be late for a head."""
    state = _torch_optimizer(engine).state
    for tensor, _ in _updated_tensors(engine):
        state[tensor] = {
            "step": torch.zeros((), dtype=torch.float32, device=tensor.device),
            **{name: torch.zeros_like(tensor) for name in MOMENTS},
        }


def _link_moments(engine: Any) -> None:
    """Link DeepSpeed's parameters to their moments in the flat shards (ZeRO 1 and 2).

    DeepSpeed itself does this only once, after the first step of the first parameter group.
    """
    optimizer = engine.optimizer
    if hasattr(optimizer, "_lazy_init_hp_params_optimizer_state"):
        optimizer._hp_optimizer_states_linked = False
        optimizer._lazy_init_hp_params_optimizer_state()


def _is_plain(parameter: torch.Tensor) -> bool:
    """Whether torch's optimizer updates the parameter itself and not a shard of it (ZeRO stage 0)."""
    return not hasattr(parameter, "ds_id") and not hasattr(parameter, "_hp_mapping")


def release(engine: Any, model: Model, weights: dict[str, torch.Tensor], device: torch.device) -> None:
    """Destroy the engine and turn its model back into a plain one with the given weights and without gradients."""
    engine.destroy()
    for name, parameter in model.named_parameters():
        parameter.data = weights[name].to(device)
        parameter.grad = None
