"""CPUs that a process may use: CPU sets, and the quotas of control groups."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stilts.run.cluster import cpus
from stilts.run.cluster.cpus import threads_of_rank, usable_cpus


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the machine's control groups; the process may use 64 CPUs."""
    monkeypatch.setattr(cpus, "CGROUPS", tmp_path)
    monkeypatch.setattr(cpus, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    return tmp_path


def test_a_cpu_set_is_respected() -> None:
    first = str(min(os.sched_getaffinity(0)))
    program = "from stilts.run.cluster.cpus import usable_cpus; print(usable_cpus())"
    command = ["taskset", "-c", first, sys.executable, "-c", program]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "1"


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ({}, 64),
        ({"": "max 100000"}, 64),
        ({"": "800000 100000"}, 8),
        ({"pod": "400000 100000", "pod/container": "max 100000"}, 4),
        ({"pod": "400000 100000", "pod/container": "250000 100000"}, 2),
        ({"pod/container": "50000 100000"}, 1),
        ({"pod/container": "garbage"}, 64),
    ],
)
def test_the_smallest_quota_counts(groups: Path, limits: dict[str, str], found: int) -> None:
    (groups / "own").write_text("0::/pod/container\n")
    (groups / "pod" / "container").mkdir(parents=True)
    for folder, limit in limits.items():
        (groups / folder / "cpu.max").write_text(f"{limit}\n")
    assert usable_cpus() == found


def test_a_path_of_the_host_leads_to_the_groups_that_are_mounted(groups: Path) -> None:
    (groups / "own").write_text("0::/../../kubepods/pod7\n")
    (groups / "cpu.max").write_text("300000 100000\n")
    assert usable_cpus() == 3


def test_the_first_version_of_control_groups(groups: Path) -> None:
    (groups / "own").write_text("4:memory:/x\n3:cpu,cpuacct:/docker/1\n")
    folder = groups / "cpu" / "docker" / "1"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("200000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cpus() == 2
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert usable_cpus() == 64


def test_no_control_groups_at_all(groups: Path) -> None:
    assert usable_cpus() == 64


@pytest.mark.parametrize(
    ("gpus", "reserved", "threads"),
    [(8, 1, 8), (8, 0.5, 8), (8, 16, 16), (8, 100, 64), (1, 1, 64), (0, 1, 64), (100, 1, 1)],
)
def test_a_rank_with_a_gpu_computes_with_its_share_of_the_cores(
    groups: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, reserved: float, threads: int
) -> None:
    (groups / "dev").mkdir()
    for name in (*(f"nvidia{number}" for number in range(gpus)), "nvidiactl", "nvidia-uvm"):
        (groups / "dev" / name).touch()
    monkeypatch.setattr(cpus, "DEVICES", groups / "dev")
    assert threads_of_rank(reserved, gpu=True) == threads


@pytest.mark.parametrize(("reserved", "threads"), [(1, 1), (0.5, 1), (4, 4), (100, 64)])
def test_a_rank_without_one_computes_with_the_cores_that_it_reserves(
    groups: Path, reserved: float, threads: int
) -> None:
    assert threads_of_rank(reserved, gpu=False) == threads
