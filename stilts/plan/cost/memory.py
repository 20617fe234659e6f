"""Memory that one rank of a trial needs on its machine, estimated before anything runs.

A rank on a CPU holds fp32 weights, their gradients and both moments of Adam, and the activations of one micro-batch. A
rank on a GPU needs memory of the machine to load and save weights, and for CUDA. The constants were measured on XLM-R
models of 0.3 and 34 million parameters with fp32 arithmetic; they are too high rather than too low.
"""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from stilts.encoders.sizes import Shape, shape_of
from stilts.experiment.runtime import MOST_TOKENS, Runtime
from stilts.identity.stage import BaseSpec, StageSpec
from stilts.plan.cost.sharding import offloaded_bytes
from stilts.plan.graph import Graph

PROCESS_BYTES = {"cpu": 6e8, "gpu": 3e9}
"""A process with torch, DeepSpeed and transformers, without a model."""
TRAINED_BYTES = 16
"""Per parameter while training on a CPU: weights, gradients, and two moments, in fp32."""
LOADED_BYTES = 8
"""Per parameter while weights are loaded or saved: those in the model and those in the file."""
ACTIVATION_BYTES = 140
"""Per token, layer and unit of width, of a forward and backward pass."""
CHECKPOINT_BYTES = 8
"""The same with gradient checkpointing, for the layers that are recomputed."""

USABLE = 0.8
"""Share of a machine's memory that ranks may use together."""
LEAST_TOKENS = 256
"""Smallest token budget that is estimated."""
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def rank_bytes(graph: Graph, keys: Iterable[str], runtime: Runtime, *, gpu: bool) -> float:
    """Bytes that one rank needs to train the largest of these stages; 0 if the size of no model is known.

    Args:
        keys: of the stages of the graph that are run.
        gpu: whether the rank has a GPU.
    """
    if runtime.memory_per_rank is not None:
        return runtime.memory_per_rank * 1e9
    sizes = _known(graph, keys)
    return max((_stage_bytes(graph.nodes[key].spec, size, runtime, gpu) for key, size in sizes), default=0.0)


def _known(graph: Graph, keys: Iterable[str]) -> list[tuple[str, Shape]]:
    """The sizes of the stages' encoders, as far as they are known, with the stages' keys."""
    shapes: dict[str, Shape | None] = {}
    for node in graph:
        shapes[node.key] = shape_of(node.spec) if isinstance(node.spec, BaseSpec) else shapes[str(node.parent)]
    return [(key, size) for key in keys if (size := shapes[key]) is not None]


def _stage_bytes(spec: StageSpec | BaseSpec, size: Shape, runtime: Runtime, gpu: bool) -> float:
    process = PROCESS_BYTES["gpu" if gpu else "cpu"]
    if gpu or not isinstance(spec, StageSpec):
        return process + LOADED_BYTES * size.parameters + offloaded_bytes(size, runtime)
    tokens = min(runtime.most_tokens(gpu=False), _tokens_of_step(spec) / runtime.ranks)
    return process + TRAINED_BYTES * size.parameters + tokens * activation_bytes(size, runtime)


def activation_bytes(size: Shape, runtime: Runtime, precision: str = "fp32") -> float:
    """Bytes of activations that a forward and backward pass holds for each token."""
    layers = size.layers * ACTIVATION_BYTES
    if runtime.gradient_checkpointing:
        layers = size.layers * CHECKPOINT_BYTES + ACTIVATION_BYTES
    return size.width * layers * (0.5 if precision == "bf16" else 1.0)


def rank_share(runtime: Runtime, machine: float, cores: int) -> float:
    """Bytes of a machine's memory that a rank on a CPU may use, beside the other ranks that there are cores for.

    Args:
        machine: bytes of memory of the machine.
    """
    if runtime.memory_per_rank:
        return runtime.memory_per_rank * 1e9
    ranks = max(1, int(cores // runtime.cpus_per_rank))
    if runtime.max_parallel is not None:
        ranks = min(ranks, runtime.max_parallel * runtime.ranks)
    return USABLE * machine / ranks


def token_budget(free: float, token: float, *, gpu: bool) -> int:
    """What `tokens_per_micro_batch: auto` stands for: a power of two, so that small differences do not matter.

    Args:
        free: bytes that are free for activations.
        token: bytes of activations for each token.
    """
    fitting = max(free, 0.0) / token
    most = MOST_TOKENS["gpu" if gpu else "cpu"]
    return next((budget for budget in _halves(most) if budget <= fitting), LEAST_TOKENS)


def _halves(most: int) -> Iterator[int]:
    while most > LEAST_TOKENS:
        yield most
        most //= 2


def planned_memory(graph: Graph, keys: Iterable[str], runtime: Runtime, *, gpu: bool) -> dict[str, Any]:
    """What `stilts plan` says of memory.

    Returns:
        `rank`: see `rank_bytes`; `tokens`: the token budget; `auto`: whether it is an estimate. On a CPU that is the
        estimate for this machine; on a GPU `tokens` is the most, because the free memory of the GPU is not known.
    """
    keys = list(keys)
    held = rank_bytes(graph, keys, runtime, gpu=gpu)
    auto = runtime.tokens_per_micro_batch == "auto"
    tokens = runtime.most_tokens(gpu=gpu)
    sizes = [] if gpu or not auto else [size for _, size in _known(graph, keys)]
    for size in sizes:
        state = PROCESS_BYTES["cpu"] + TRAINED_BYTES * size.parameters
        free = rank_share(runtime, machine_memory(), usable_cores()) - state
        tokens = min(tokens, token_budget(free, activation_bytes(size, runtime), gpu=False))
    return {"rank": held, "tokens": tokens, "auto": auto}


def usable_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def machine_memory() -> float:
    """Bytes of memory of this machine, or of its container if that may use less."""
    total = float(psutil.virtual_memory().total)
    limit = container_limit()
    return total if limit is None else min(total, limit)


def container_limit() -> int | None:
    """Bytes that the cgroup of this process may use; None if there is no limit."""
    for path in LIMITS:
        try:
            return int(path.read_text())
        except (OSError, ValueError):  # no such file, or `max`
            continue
    return None


def _tokens_of_step(spec: StageSpec) -> float:
    """Largest number of tokens that one step of a stage trains on."""
    return max(spec.recipe.batch_size * part.recipe.max_length for part in spec.parts)
