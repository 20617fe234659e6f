"""Use and memory of a rank's GPU from NVML, NVIDIA's management library. For display only."""

import contextlib
from functools import cache
from typing import Any

import pynvml


def gpu_facts(uuid: str) -> dict[str, Any]:
    """Return `gpu_use` in percent, over the last second or less, and `gpu_memory` and `gpu_memory_total` in bytes.

    All processes on the GPU count. Empty if NVML is not installed or cannot tell (a MIG slice has no utilization).

    Args:
        uuid: of the GPU, `GPU-...`.
    """
    with contextlib.suppress(pynvml.NVMLError):
        handle = _handle(uuid)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        use = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
        return {"gpu_use": float(use), "gpu_memory": int(memory.used), "gpu_memory_total": int(memory.total)}
    return {}


def combine(ranks: list[dict[str, Any]]) -> dict[str, Any]:
    """Combine the facts of a gang's ranks: the mean use of the GPUs, and the memory of the fullest one.

    Empty if any rank has none.
    """
    if not all(ranks) or not ranks:
        return {}
    fullest = max(ranks, key=lambda facts: facts["gpu_memory"])
    return {**fullest, "gpu_use": sum(facts["gpu_use"] for facts in ranks) / len(ranks)}


@cache
def _handle(uuid: str) -> Any:
    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(uuid)
