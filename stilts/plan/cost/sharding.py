"""What training a large model holds on each device, and how ZeRO and offload divide it.

In bf16, a parameter takes 2 bytes of weights, 4 of summed gradients, and 12 of optimizer state (fp32 weights and the
two moments of AdamW). ZeRO 1 divides the optimizer state over the ranks, ZeRO 2 the gradients, too, and ZeRO 3 the
weights, too (Rajbhandari et al. 2020, section 5). Activations come on top.
"""

from collections.abc import Iterator

from stilts.encoders.sizes import Shape, shape_of
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.plan.graph import Graph

WEIGHT_BYTES, GRADIENT_BYTES, OPTIMIZER_BYTES = 2, 4, 12
LARGE = 24e9
"""Bytes of state from which a plan says what a model needs: those of one GPU with 24 GB."""
_GANGS = (2, 4, 8)


def device_bytes(size: Shape, ranks: int, zero_stage: int, offload: str = "none") -> float:
    """Bytes of weights, gradients and optimizer state on the device of one rank."""
    weights = WEIGHT_BYTES / (ranks if zero_stage >= 3 else 1)
    gradients = GRADIENT_BYTES / (ranks if zero_stage >= 2 else 1)
    optimizer = OPTIMIZER_BYTES / (ranks if zero_stage >= 1 else 1)
    held = (0 if offload == "all" else weights) + gradients + (0 if offload != "none" else optimizer)
    return size.parameters * held


def offloaded_bytes(size: Shape, runtime: Runtime) -> float:
    """Bytes that DeepSpeed keeps in the memory of the machine for one rank."""
    bytes_each = {"none": 0, "optimizer": OPTIMIZER_BYTES, "all": OPTIMIZER_BYTES + WEIGHT_BYTES}[runtime.offload]
    return size.parameters * bytes_each / runtime.ranks


def memory_notes(graph: Graph, runtime: Runtime) -> list[str]:
    """For each base model whose training does not fit a GPU of 24 GB: what it holds, here and divided otherwise."""
    return list(dict.fromkeys(_notes(graph, runtime)))


def _notes(graph: Graph, runtime: Runtime) -> Iterator[str]:
    trained = {node.parent for node in graph if not node.is_base}
    for node in graph:
        size = shape_of(node.spec) if isinstance(node.spec, BaseSpec) and node.key in trained else None
        if size is None or device_bytes(size, 1, 0) <= LARGE:
            continue
        here = device_bytes(size, runtime.ranks, runtime.zero_stage, runtime.offload)
        divided = ", ".join(f"{ranks} GPUs {device_bytes(size, ranks, 3) / 1e9:.0f} GB each" for ranks in _GANGS)
        rest = device_bytes(size, 4, 3, "optimizer") / 1e9
        yield (
            f"{node.name}: {size.parameters / 1e9:.1f} billion parameters; weights, gradients and optimizer state "
            f"take {device_bytes(size, 1, 0) / 1e9:.0f} GB beside activations; this plan holds {here / 1e9:.0f} GB on "
            f"each of {runtime.ranks} (runtime.ranks {runtime.ranks}, zero_stage {runtime.zero_stage}, offload "
            f"{runtime.offload}). With zero_stage 3: {divided}; with offload: optimizer, 4 GPUs {rest:.0f} GB each and "
            f"{OPTIMIZER_BYTES * size.parameters / 4e9:.0f} GB of the machine's memory for each"
        )
