"""Seconds of a stage at given rates, by hand."""

from dataclasses import replace

import pytest

from stilts.experiment.machines import NodeType
from stilts.experiment.runtime import Runtime
from stilts.plan.cost.hardware import HARDWARE, Hardware, hardware_of
from stilts.plan.cost.rates import Factors, Rates, rank_link
from stilts.plan.cost.work import Pass, Work

GPU = Hardware("G", {"bf16": 1e12 / 0.65, "fp32": 1e11 / 0.65}, 1e9 / 0.8, 1e9 / 0.7, 1e9, "")
"""Achieves 1 TFLOP/s in bf16, 0.1 in fp32, and 1 GB/s."""
CPU = replace(GPU, name="CPU", memory=0)


def test_launches_are_hidden_behind_the_work_of_a_gpu_and_not_of_a_cpu() -> None:
    busy, idle = Pass(flops=3e12, traffic=1e9, launches=1e5), Pass(flops=3e11, launches=1e6)
    gpu = Rates(GPU)
    assert gpu.together(gpu.parts(busy, "bf16")) == pytest.approx(3 + 1)
    assert gpu.together(gpu.parts(busy, "fp32")) == pytest.approx(30 + 1)
    assert gpu.together(gpu.parts(idle, "bf16")) == pytest.approx(10)
    cpu = Rates(CPU)
    assert cpu.together(cpu.parts(busy, "bf16")) == pytest.approx(3 + 1 + 1.2)
    two = Rates(CPU, cores=2.0)
    assert two.together(two.parts(busy, "bf16")) == pytest.approx(1.5 + 0.5 + 1.2)


def test_communication_is_added() -> None:
    rates = Rates(GPU, link=1e9)
    assert rates.together(rates.parts(Pass(flops=1e12, sent=2e9, messages=1000), "bf16")) == pytest.approx(1 + 2 + 0.05)


def test_a_stage_also_evaluates_loads_and_saves() -> None:
    work = Work("bf16", Pass(flops=1e13), Pass(flops=1e12), Pass(flops=2e12), 0, 50_000, moved=1e9, starts=1)
    assert Rates(GPU).seconds(work) == pytest.approx(10 + 1 + 5 + 1.5 + 2)
    assert Rates(GPU, by_tasks={("xnli",): 2.0}).seconds(work, ("xnli",)) == pytest.approx(20 + 1 + 5 + 1.5 + 2)
    factors = Factors(arithmetic=2.0, evaluation=3.0, setup=0.0)
    assert Rates(GPU, factors=factors).seconds(work) == pytest.approx(20 + 3 * 2 + 3 * 5)


def test_declared_operations_replace_those_of_the_kind() -> None:
    work = Work("fp32", Pass(flops=1e13, traffic=1e9))
    assert Rates(GPU, flops=2e12).training_seconds(work) == pytest.approx(5 + 1)


def test_ranks_on_one_node_are_linked_faster_than_over_the_network() -> None:
    node = NodeType(gpus=4, network_bandwidth=10)
    a100, l4 = HARDWARE["A100"], HARDWARE["L4"]
    assert rank_link(a100, Runtime(ranks=4), node, 4) == pytest.approx(0.7 * 300e9)
    assert rank_link(a100, Runtime(ranks=8), node, 4) == pytest.approx(0.7 * 10e9)
    assert rank_link(l4, Runtime(ranks=4), NodeType(gpus=4, link_bandwidth=12), 4) == pytest.approx(0.7 * 12e9)


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A10G", "A10G"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090"),
    ],
)
def test_the_kind_of_a_device(device: str, name: str) -> None:
    assert hardware_of(device).name == name


def test_every_kind_is_declared_with_its_source() -> None:
    assert set(HARDWARE) == {"V100", "A10G", "L4", "L40S", "A100", "H100", "H200", "CPU"}
    for name, entry in HARDWARE.items():
        assert entry.source
        assert entry.is_gpu == (name != "CPU")
        assert entry.peak["fp32"] <= entry.peak["bf16"]
