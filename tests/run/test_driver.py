"""What happens when the driver is interrupted, or dies."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until

HERE = Path(__file__).resolve().parent


@pytest.fixture
def ray_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="stilts-ray-", dir="/tmp") as folder:
        yield folder


def start(ray_folder: str, store: Path, *names: str) -> subprocess.Popen:
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(HERE / "driver.py"), ray_folder, str(store), *names]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, start_new_session=True)


def ranks(store: Path) -> list[int]:
    return [int(path.name.split(".")[2]) for path in store.glob("*.*.*.*")]


def gone(processes: list[int]) -> bool:
    return not any(psutil.pid_exists(process) for process in processes)


def test_an_interrupt_of_the_terminal_lets_the_trials_write_their_state(ray_folder: str, tmp_path: Path) -> None:
    driver = start(ray_folder, tmp_path, "walk-a", "walk-b")
    assert wait_until(lambda: len(list(tmp_path.glob("*.walked"))) == 2, 300)
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait(timeout=200) == 130
    assert len(list(tmp_path.glob("walk-?.step"))) == 2
    assert wait_until(lambda: gone(ranks(tmp_path)), 60)


@pytest.mark.slow
def test_the_signal_of_batch_systems_does_as_an_interrupt(ray_folder: str, tmp_path: Path) -> None:
    driver = start(ray_folder, tmp_path, "walk-a")
    assert wait_until(lambda: len(list(tmp_path.glob("*.walked"))) == 1, 300)
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(timeout=200) == 130
    assert len(list(tmp_path.glob("walk-?.step"))) == 1


@pytest.mark.slow
def test_ranks_do_not_outlive_a_killed_driver(ray_folder: str, tmp_path: Path) -> None:
    driver = start(ray_folder, tmp_path, "sleep-100-a")
    assert wait_until(lambda: len(ranks(tmp_path)) == 1, 300)
    driver.kill()
    driver.wait()
    assert wait_until(lambda: gone(ranks(tmp_path)), 60)
