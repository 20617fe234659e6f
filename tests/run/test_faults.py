"""Faults of Ray and of its machines, for real: memory, the control service, the Ray process of a node."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import ray

from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.ledger.record import read_failure
from stilts.plan.job import StageJob
from stilts.run.tune_adapter.execute import execute
from stilts.schedule import causes
from stilts.storage.local import LocalStore

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.slow


@pytest.fixture
def ray_without_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local Ray whose memory monitor finds too much memory in use at every look."""
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "500")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
    with tempfile.TemporaryDirectory(prefix="stilts-ray-", dir="/tmp") as folder:
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        yield
        ray.shutdown()


def test_memory_that_ray_takes_back_is_a_cause_of_its_own_and_says_what_used_it(
    ray_without_memory: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {**causes.CAUSES, "memory": causes.Rule(1, "memory", "too little memory", "add some", pause=1.0)}
    monkeypatch.setattr(causes, "CAUSES", few)
    runtime = Runtime(accelerator="cpu", max_retries=0)
    job = StageJob("sleep-60", BaseSpec({"hub": "x"}), None, (), True, False, str(tmp_path), runtime)
    stage = execute([job], runtime=runtime, stage_function="stages:behave").stages[job.name]
    assert (stage.status, stage.cause, stage.lost) == ("failed", "memory", {"memory": 2})
    assert "too little memory 2 times, the last time: Ray killed it because" in stage.message
    assert "; the largest: " in stage.message
    assert "(process " in stage.message
    assert "\n" not in stage.message
    assert (read_failure(LocalStore(tmp_path), job.name) or {})["cause"] == "memory"


@pytest.mark.parametrize("service", ["gcs_server", "raylet"])
def test_a_driver_whose_cluster_is_lost_ends_with_one_line_and_leaves_no_process(service: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    with tempfile.TemporaryDirectory(prefix="stilts-ray-", dir="/tmp") as folder:
        command = [sys.executable, str(HERE / "driver.py"), folder, str(store), "ok-1", "sleep-300"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
        driver = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        _until(lambda: list(store.glob("sleep-300.*")))
        (server,) = [process for process in _of(folder) if process.name() == service]
        server.kill()
        _, said = driver.communicate(timeout=120)
        assert driver.returncode == 1
        (line,) = [line for line in said.splitlines() if "error:" in line]
        assert "has not answered for" in line
        assert "1 of 2 done" in line
        assert line.endswith("the same command continues")
        _until(lambda: not _of(folder), seconds=90)


def _of(folder: str) -> list[psutil.Process]:
    """Processes of the Ray whose files are in a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] != "zombie" and folder in " ".join(process.info["cmdline"] or []):
            found.append(process)
    return found


def _until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
