"""The DeepSpeed engine: its configuration, optimizer, and the full weights behind its shards.

Stage 0 runs as such in fp32 only: DeepSpeed's bf16 optimizer of stage 0 is an fp16 one with loss scaling, so that
bf16 takes at least stage 1, which computes the same. In fp32 one rank has no optimizer state to share, and stage 1
runs as stage 0, whose steps take less than half the time (measured on a CPU, 14M parameters).

`managed_gradient_accumulation` off makes `step()` the boundary after any number of backward passes.

A head that a step does not use stays exactly as it is: its learning rate is 0, so that neither old momentum nor weight
decay moves it. Its moments see a zero gradient, as they would in the sum of all tasks' losses. The same in every stage.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
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


def engine_config(recipe: Recipe, runtime: Runtime, world: int, parameters: int) -> dict[str, Any]:
    """DeepSpeed's configuration for a stage. Buckets are no larger than the model needs."""
    bf16 = recipe.precision == "bf16"
    stage = runtime.zero_stage
    if bf16:
        stage = max(stage, 1)
    elif stage == 1 and world == 1:
        stage = 0
    bucket = min(BUCKET, parameters + parameters % 2)  # DeepSpeed aligns buckets to pairs
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": recipe.max_grad_norm,
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
    """Matrices with weight decay; biases and norms (all vectors) without. Of several heads each has its own groups,
    which carry its name as `head`; the rest is None's."""
    heads = dict(model.heads.items()) if len(model.heads) > 1 else {}
    owner = {parameter: name for name, head in heads.items() for parameter in head.parameters()}
    groups: dict[tuple[str | None, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decay = weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((owner.get(parameter), decay), []).append(parameter)
    return [{"params": parameters, "weight_decay": decay, "head": head} for (head, decay), parameters in groups.items()]


def make_engine(model: Model, recipe: Recipe, runtime: Runtime, ranks: Ranks) -> Any:
    """A DeepSpeed engine around the model, its AdamW at learning rate 0 (the loop sets it at every step)."""
    import deepspeed

    optimizer = torch.optim.AdamW(
        parameter_groups(model, recipe.weight_decay),
        lr=0.0,
        betas=(0.9, 0.999),
        eps=recipe.adam_epsilon,
        fused=True,
    )
    config = engine_config(recipe, runtime, ranks.world, sum(p.numel() for p in model.parameters()))
    with contextlib.redirect_stdout(io.StringIO()):  # its bf16 optimizer prints memory statistics
        engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config, dist_init_required=False)
    return engine


def set_learning_rate(engine: Any, rate: float, head: str | None = None) -> None:
    """Of everything but the heads that are not the one named."""
    for group in engine.optimizer.param_groups:
        group["lr"] = rate if group["head"] in (None, head) else 0.0


def optimizer_step(engine: Any) -> None:
    """One step, after which no gradient is left: of a parameter that no backward pass of the next step reaches, stage 3
    would take this one once more. The other stages take zero by themselves."""
    engine.step()
    stale = getattr(engine.optimizer, "grad_partitions_flat_buffer", None)
    if stale is not None:
        stale.zero_()


def full_weights(engine: Any) -> dict[str, torch.Tensor]:
    """A copy of every parameter on the CPU, in the model's precision, on every rank (collective)."""
    return {name: value.cpu().clone() for name, value in _gathered(engine)}


def _gathered(engine: Any) -> Iterator[tuple[str, torch.Tensor]]:
    import deepspeed

    for name, parameter in engine.module.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter], enabled=hasattr(parameter, "ds_id")):
            yield name, parameter.data


def optimizer_state(engine: Any, keep: bool) -> Iterator[tuple[str, torch.Tensor]]:
    """fp32 weights and both moments of every parameter, whole, on the CPU (collective).

    Names are `weight.NAME`, `exp_avg.NAME`, `exp_avg_sq.NAME`: nothing in them depends on ranks or on the ZeRO stage.

    Args:
        keep: whether this rank wants the tensors; the others only take part.
    """
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    _link_moments(engine)
    for name, parameter in engine.module.named_parameters():
        for key in ("weight", *MOMENTS):
            if _plain(parameter):
                value = parameter.data if key == "weight" else engine.optimizer.state[parameter][key]
            elif key == "weight":
                value = safe_get_full_fp32_param(parameter)
            else:
                value = safe_get_full_optimizer_state(parameter, key)
            if keep:
                yield f"{key}.{name}", value.cpu().clone()


def restore_optimizer_state(engine: Any, fetch: Callable[[str, torch.Size], torch.Tensor], steps: int) -> None:
    """Put weights, moments and AdamW's step count back (collective). The model already holds the weights.

    Moments exist only after a first step, which may be an empty one at learning rate 0.

    Args:
        fetch: the whole tensor of a name and shape, on the engine's device.
    """
    from deepspeed.utils import (
        safe_set_full_fp32_param,
        safe_set_full_optimizer_state,
        safe_set_local_fp32_param,
        safe_set_local_optimizer_state,
    )

    _link_moments(engine)
    for name, parameter in engine.module.named_parameters():
        shape = getattr(parameter, "ds_shape", parameter.shape)
        for key in ("weight", *MOMENTS):
            value = fetch(f"{key}.{name}", shape)
            if _plain(parameter):
                (parameter.data if key == "weight" else engine.optimizer.state[parameter][key]).copy_(value)
            elif hasattr(parameter, "ds_id"):
                part = _partition(parameter, value)
                if key == "weight":
                    safe_set_local_fp32_param(parameter, part)
                else:
                    safe_set_local_optimizer_state(parameter, part, key)
            elif key == "weight":
                safe_set_full_fp32_param(parameter, value)
            else:
                safe_set_full_optimizer_state(parameter, value, key)
    for state in getattr(engine.optimizer, "optimizer", engine.optimizer).state.values():
        state["step"].fill_(steps)


def _partition(parameter: Any, value: torch.Tensor) -> torch.Tensor:
    """This rank's part of a tensor under ZeRO 3; the last one is filled up with zeros. DeepSpeed 0.19 divides a whole
    tensor itself only where the parts come out even."""
    size, world, rank = parameter.ds_tensor.numel(), dist.get_world_size(), dist.get_rank()
    whole = torch.nn.functional.pad(value.flatten(), (0, size * world - value.numel()))
    return whole[size * rank : size * (rank + 1)]


def _link_moments(engine: Any) -> None:
    """Let parameters find their moments. DeepSpeed 0.19 does so after the first group's first step and never again, at
    which time the other groups have none yet."""
    optimizer = engine.optimizer
    if hasattr(optimizer, "_lazy_init_hp_params_optimizer_state"):
        optimizer._hp_optimizer_states_linked = False
        optimizer._lazy_init_hp_params_optimizer_state()


def _plain(parameter: torch.Tensor) -> bool:
    """Whether DeepSpeed left the parameter to torch's optimizer (stage 0)."""
    return not hasattr(parameter, "ds_id") and not hasattr(parameter, "_hp_mapping")


def release(engine: Any, model: Model, weights: dict[str, torch.Tensor], device: torch.device) -> None:
    """Destroy the engine and leave a plain model with these weights."""
    engine.destroy()
    for name, parameter in model.named_parameters():
        parameter.data = weights[name].to(device)
        parameter.grad = None
