"""The engine of a gang that has something to shard: DeepSpeed, its configuration, and access to unsharded tensors.

Precision. The optimizer updates fp32 weights (the master weights), whatever the precision of the forward pass. With
`precision: bf16`, each backward pass computes bf16 gradients, which are accumulated over micro-batches, reduced over
ranks and clipped in fp32. This requires DeepSpeed's communication data type to be set to fp32. In bf16 training it is
bf16 by default, which would round the sums to 8 bits of precision before the gradient norm is computed.

ZeRO stages. Stage 0 is used in fp32 only, because DeepSpeed's bf16 optimizer for stage 0 is its fp16 optimizer with
loss scaling. In bf16 at least stage 1 is used, which computes the same numbers. In fp32 on one rank there is nothing to
shard, so that stage 1 is replaced by stage 0.

Offload. DeepSpeed can keep the master weights and moments in the memory of the machine, where AdamW then updates them,
and under stage 3 the weights, too. The update computes the same numbers and takes longer.

`managed_gradient_accumulation: False` makes `engine.step()` an optimizer step after any number of backward passes.
"""

import contextlib
import io
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any

import torch
import torch.distributed as dist

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.batch import Batch
from stilts.train.copies import keep
from stilts.train.engine import Fetch
from stilts.train.model import Model
from stilts.train.optimizer import BETAS, MOMENTS, HeadAdamW, parameter_groups
from stilts.train.precision import DTYPES
from stilts.train.ranks import Ranks
from stilts.train.sharded import ShardedWeights, is_divided, part_of_rank

BUCKET = 50_000_000
"""Largest number of elements in one reduction or all-gather."""


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
    elif stage == 1 and world == 1 and runtime.offload == "none":
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
    if runtime.offload != "none":
        to_machine = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
        config["zero_optimization"]["offload_optimizer"] = to_machine
        config["zero_force_ds_cpu_optimizer"] = False  # its own needs a compiler, and skips no heads
        if runtime.offload == "all":
            config["zero_optimization"]["offload_param"] = to_machine
    if bf16:
        config["bf16"] = {"enabled": True}
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    return config


class DeepSpeedEngine:
    """A model under training on one or more ranks; see `Engine`.

    Args:
        model: in fp32, on the device of the rank.
    """

    def __init__(self, model: Model, recipe: Recipe, runtime: Runtime, ranks: Ranks) -> None:
        self.module = model
        self.gradient_norm = torch.zeros((), device=ranks.device)
        self._world, self._device = ranks.world, ranks.device
        # DeepSpeed rounds parameters that are not trained, too, and keeps no fp32 weights of them.
        named = model.named_parameters()
        self._frozen = {name: p.detach().cpu().clone() for name, p in named if not p.requires_grad}
        self._engine = _initialize(model, recipe, runtime, ranks)
        _create_moments(self._engine)

    def train(self) -> Any:
        return self._engine.train()

    def eval(self) -> Any:
        return self._engine.eval()

    def __call__(self, batch: Batch) -> torch.Tensor:
        loss: torch.Tensor = self._engine(batch)
        return loss

    def backward(self, loss: torch.Tensor) -> None:
        # DeepSpeed averages the gradients over the ranks; those of a step are summed.
        self._engine.backward(loss * self._world, scale_wrt_gas=False)

    def forget_gradient(self) -> None:
        self._engine.zero_grad()
        self._engine.optimizer.zero_grad()

    def step(self, rate: float, parts: Collection[str]) -> None:
        self._optimizer.select(rate, parts)
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        if norm is not None:
            self.gradient_norm = torch.as_tensor(norm, dtype=torch.float32, device=self._device)
        # ZeRO 3 keeps gradients in a flat buffer that DeepSpeed does not clear. If the next step computes no gradient
        # for a parameter, such as the head of another task, its old gradient would be applied again.
        stale = getattr(self._engine.optimizer, "grad_partitions_flat_buffer", None)
        if stale is not None:
            stale.zero_()

    @property
    def _optimizer(self) -> HeadAdamW:
        return _torch_optimizer(self._engine)

    def weights(self) -> dict[str, torch.Tensor]:
        parameters = list(self.module.named_parameters())
        size = sum(4 * getattr(parameter, "ds_numel", parameter.numel()) for _, parameter in parameters)
        return keep(((name, self._weight(name, parameter)) for name, parameter in parameters), size, self._device)

    def _weight(self, name: str, parameter: torch.Tensor) -> torch.Tensor:
        return _master(parameter) if parameter.requires_grad else self._frozen[name]

    def state(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, parameter, key in self._state_names():
            yield f"{key}.{name}", self._weight(name, parameter) if key == "weight" else self._moment(parameter, key)

    def restore(self, fetch: Fetch, steps: Mapping[str | None, int]) -> None:
        for name, parameter, key in self._state_names():
            value = fetch(f"{key}.{name}", getattr(parameter, "ds_shape", parameter.shape))
            if not parameter.requires_grad:
                self._frozen[name] = value.cpu()
            elif key == "weight":
                _set_master(parameter, value)
            else:
                self._set_moment(parameter, key, value)
        state = self._optimizer.state
        for tensor, group in _updated_tensors(self._engine):
            state[tensor]["step"].fill_(steps[group["part"]])

    def _state_names(self) -> Iterator[tuple[str, torch.Tensor, str]]:
        """Name, parameter and kind of every tensor of the state. A parameter that is not trained has no moments."""
        _link_moments(self._engine)
        for name, parameter in self.module.named_parameters():
            for key in ("weight", *(MOMENTS if parameter.requires_grad else ())):
                yield name, parameter, key

    def _moment(self, parameter: torch.Tensor, key: str) -> torch.Tensor:
        from deepspeed.utils import safe_get_full_optimizer_state

        plain = _is_plain(parameter)
        value: torch.Tensor = (
            self._optimizer.state[parameter][key] if plain else safe_get_full_optimizer_state(parameter, key)
        )
        return value

    def _set_moment(self, parameter: torch.Tensor, key: str, value: torch.Tensor) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state, safe_set_local_optimizer_state

        if _is_plain(parameter):
            self._optimizer.state[parameter][key].copy_(value)
        elif hasattr(parameter, "ds_id"):
            safe_set_local_optimizer_state(parameter, part_of_rank(parameter, value), key)
        else:
            safe_set_full_optimizer_state(parameter, value, key)

    def release(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._engine.destroy()
        for name, parameter in self.module.named_parameters():
            parameter.data = weights[name].to(self._device)
            parameter.grad = None

    def destroy(self) -> None:
        self._engine.destroy()


@cache
def prepare_deepspeed(device_type: str) -> None:
    """Import DeepSpeed, which takes seconds, and let it use the process group that exists. Once per process.

    Args:
        device_type: `cpu` or `cuda`.
    """
    import deepspeed
    from deepspeed.utils import logger

    logger.setLevel("ERROR")
    if device_type == "cpu":
        # Compiling DeepSpeed's shared-memory communication takes a minute; gloo gives the same results.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend=dist.get_backend(), auto_mpi_discovery=False, verbose=False)


def _initialize(model: Model, recipe: Recipe, runtime: Runtime, ranks: Ranks) -> Any:
    """DeepSpeed's engine, whose master weights are bit-identical to the model's weights."""
    prepare_deepspeed(ranks.device.type)
    import deepspeed

    source: ShardedWeights | None = getattr(model.encoder, "sharded_weights", None)
    optimizer = HeadAdamW(
        parameter_groups(model, recipe.weight_decay), lr=0.0, betas=BETAS, eps=recipe.adam_epsilon, fused=True
    )
    sizes = [getattr(parameter, "ds_numel", parameter.numel()) for parameter in model.parameters()]
    config = engine_config(recipe, runtime, ranks.world, sum(sizes))
    # DeepSpeed casts the model to bf16 before it copies the master weights, and casts buffers too. They are restored
    # afterwards, because rotary frequencies rounded to bf16 would change the angle of every position.
    named = [(name, parameter) for name, parameter in model.named_parameters() if not is_divided(parameter)]
    weights = {name: parameter.detach().cpu().clone() for name, parameter in named}
    if source is not None:  # DeepSpeed expects one precision of a model of which a part is divided already
        for _, parameter in named:
            parameter.data = parameter.data.to(DTYPES[recipe.precision])
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers() if buffer.is_floating_point()}
    with contextlib.redirect_stdout(io.StringIO()):  # its bf16 optimizer prints memory statistics
        engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config, dist_init_required=False)
    for name, buffer in model.named_buffers():
        if name in buffers:
            buffer.data = buffers[name].to(buffer.device)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not _is_plain(parameter):
            value = weights.pop(name) if name in weights else _stored(source, name)
            _set_master(parameter, value.to(ranks.device))
    return engine


def _stored(source: ShardedWeights | None, name: str) -> torch.Tensor:
    """The fp32 tensor of a parameter of the encoder that was divided while it was loaded."""
    assert source is not None
    return source[name.removeprefix("encoder.")]


def _master(parameter: torch.Tensor) -> torch.Tensor:
    """The unsharded fp32 master weight of a parameter (collective)."""
    from deepspeed.utils import safe_get_full_fp32_param

    if _is_plain(parameter):
        return parameter.data.float()
    value: torch.Tensor = safe_get_full_fp32_param(parameter)
    return value


def _set_master(parameter: torch.Tensor, value: torch.Tensor) -> None:
    """Set the fp32 master weight of a parameter from the unsharded tensor, on the engine's device (collective)."""
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_local_fp32_param

    if _is_plain(parameter):
        parameter.data.copy_(value)
    elif hasattr(parameter, "ds_id"):
        safe_set_local_fp32_param(parameter, part_of_rank(parameter, value))
    else:
        safe_set_full_fp32_param(parameter, value)


def _torch_optimizer(engine: Any) -> HeadAdamW:
    """The optimizer inside DeepSpeed's."""
    optimizer: HeadAdamW = getattr(engine.optimizer, "optimizer", engine.optimizer)
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
