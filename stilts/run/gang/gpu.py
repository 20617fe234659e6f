"""What a rank's GPU does, as the driver's management library (NVML) tells it: for display, and for nothing else."""

import contextlib
from functools import cache
from typing import Any

from ray._private.thirdparty import pynvml  # as Ray's own metrics do; it needs no package beside Ray


def gpu_facts(uuid: str) -> dict[str, Any]:
    """`gpu_use` in percent of the last second or less, `gpu_memory` and `gpu_memory_total` in bytes; all processes on
    the GPU count. Empty where NVML is not there or does not tell (MIG slices have no use).

    Args:
        uuid: of the GPU, `GPU-...`.
    """
    with contextlib.suppress(pynvml.NVMLError):
        handle = _handle(uuid)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        use = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
        return {"gpu_use": float(use), "gpu_memory": int(memory.used), "gpu_memory_total": int(memory.total)}
    return {}


def together(ranks: list[dict[str, Any]]) -> dict[str, Any]:
    """The facts of a gang: the mean use of its GPUs, and the memory of the fullest. Empty where one's are missing."""
    if not all(ranks) or not ranks:
        return {}
    fullest = max(ranks, key=lambda facts: facts["gpu_memory"])
    return {**fullest, "gpu_use": sum(facts["gpu_use"] for facts in ranks) / len(ranks)}


@cache
def _handle(uuid: str) -> Any:
    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(uuid)
