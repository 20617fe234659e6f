"""Memory that one rank of a trial needs on its machine, estimated before anything runs.

A rank on a CPU holds fp32 weights, their gradients and both moments of Adam, and the activations of one micro-batch. A
rank on a GPU needs memory of the machine to load and save weights, and for CUDA. The constants were measured on XLM-R
models of 0.3 and 34 million parameters with fp32 arithmetic; they are too high rather than too low.
"""

from collections.abc import Iterable

from stilts.encoders.sizes import Shape, shape_of
from stilts.experiment.runtime import Runtime
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


def rank_bytes(graph: Graph, keys: Iterable[str], runtime: Runtime, *, gpu: bool) -> float:
    """Bytes that one rank needs to train the largest of these stages; 0 if the size of no model is known.

    Args:
        keys: of the stages of the graph that are run.
        gpu: whether the rank has a GPU.
    """
    if runtime.memory_per_rank is not None:
        return runtime.memory_per_rank * 1e9
    shapes: dict[str, Shape | None] = {}
    for node in graph:
        shapes[node.key] = shape_of(node.spec) if isinstance(node.spec, BaseSpec) else shapes[str(node.parent)]
    known = {key: size for key in keys if (size := shapes[key]) is not None}
    return max((_stage_bytes(graph.nodes[key].spec, size, runtime, gpu) for key, size in known.items()), default=0.0)


def _stage_bytes(spec: StageSpec | BaseSpec, size: Shape, runtime: Runtime, gpu: bool) -> float:
    process = PROCESS_BYTES["gpu" if gpu else "cpu"]
    if gpu or not isinstance(spec, StageSpec):
        return process + LOADED_BYTES * size.parameters + offloaded_bytes(size, runtime)
    tokens = min(runtime.tokens_per_micro_batch, _tokens_of_step(spec) / runtime.ranks)
    layers = size.layers * ACTIVATION_BYTES
    if runtime.gradient_checkpointing:
        layers = size.layers * CHECKPOINT_BYTES + ACTIVATION_BYTES
    return process + TRAINED_BYTES * size.parameters + tokens * size.width * layers


def _tokens_of_step(spec: StageSpec) -> float:
    """Largest number of tokens that one step of a stage trains on."""
    return max(spec.recipe.batch_size * part.recipe.max_length for part in spec.parts)
