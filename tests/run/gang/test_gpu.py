"""What is told of GPUs, with a driver's library that answers as NVML does."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from stilts.run.gang import gpu
from stilts.run.gang.gpu import combine, gpu_facts


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[int, int, int]]]:
    """GPUs by uuid: use in percent, bytes used, bytes in all."""
    gpus = {"GPU-a": (90, 10, 80), "GPU-b": (70, 30, 80)}

    def find(uuid: str) -> Any:
        if uuid not in gpus:
            raise gpu.pynvml.NVMLError(gpu.pynvml.NVML_ERROR_NOT_FOUND)
        return gpus[uuid]

    monkeypatch.setattr(gpu.pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(gpu.pynvml, "nvmlDeviceGetHandleByUUID", find)
    monkeypatch.setattr(gpu.pynvml, "nvmlDeviceGetMemoryInfo", lambda h: SimpleNamespace(used=h[1], total=h[2]))
    monkeypatch.setattr(gpu.pynvml, "nvmlDeviceGetUtilizationRates", lambda h: SimpleNamespace(gpu=h[0]))
    gpu._handle.cache_clear()
    yield gpus
    gpu._handle.cache_clear()


def test_a_gang_tells_the_mean_use_and_its_fullest_gpu(nvml: dict[str, tuple[int, int, int]]) -> None:
    facts = [gpu_facts(uuid) for uuid in nvml]
    assert facts[0] == {"gpu_use": 90.0, "gpu_memory": 10, "gpu_memory_total": 80}
    assert combine(facts) == {"gpu_use": 80.0, "gpu_memory": 30, "gpu_memory_total": 80}


def test_what_nvml_does_not_tell_is_not_there(nvml: dict[str, tuple[int, int, int]]) -> None:
    assert gpu_facts("GPU-c") == {}
    assert combine([gpu_facts("GPU-a"), gpu_facts("GPU-c")]) == {}
    assert combine([]) == {}


def test_without_a_driver_there_is_nothing() -> None:
    gpu._handle.cache_clear()
    assert gpu_facts("GPU-a") == {}
