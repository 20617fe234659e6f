"""Two drivers, each with a Ray cluster of its own, on one store."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.waiting import wait_until

HERE = Path(__file__).resolve().parent

pytestmark = pytest.mark.slow


def start(name: str, ray_folder: str, store: Path, *stages: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(HERE / "driver.py"), ray_folder, str(store), *stages]
    environment = {**os.environ, "PYTHONPATH": paths, "DRIVER": name}
    return subprocess.Popen(command, env=environment, start_new_session=True, stderr=(store / f"{name}.said").open("w"))


def started(store: Path, driver: str) -> dict[str, float]:
    """When a driver started each stage."""
    return {path.suffix[1:]: float(path.read_text()) for path in store.glob(f"{driver}.started.*") if path.read_text()}


def after(store: Path, driver: str) -> list[float]:
    """Seconds from the moment when a driver's Ray had started to each start of a stage."""
    begun = float((store / f"{driver}.begun").read_text())
    return [at - begun for at in started(store, driver).values()]


def trained(store: Path) -> list[str]:
    """The stages that were trained to the end, once for each time."""
    ended = [path for path in store.glob("sleep-*.0.*.*") if len(path.read_text().split()) == 2]
    return sorted(path.name.partition(".")[0] for path in ended)


def test_a_second_driver_starts_free_stages_and_trains_none_again(tmp_path: Path) -> None:
    stages = [f"sleep-{seconds}-{letter}" for letter, seconds in zip("abcd", (60, 60, 3, 3), strict=True)]
    with tempfile.TemporaryDirectory(dir="/tmp") as one, tempfile.TemporaryDirectory(dir="/tmp") as two:
        first = start("first", one, tmp_path, *stages)
        try:
            assert wait_until(lambda: len(list(tmp_path.glob("sleep-60-*.0.*"))) == 2, 120)
            second = start("second", two, tmp_path, *stages)
            try:
                assert wait_until(lambda: len(started(tmp_path, "second")) >= 2, 120)
                seconds = {name: sorted(after(tmp_path, name)) for name in ("first", "second")}
                found = set(started(tmp_path, "second"))
                assert first.wait(120) == 0
                assert second.wait(120) == 0
            finally:
                second.send_signal(signal.SIGKILL)
        finally:
            first.send_signal(signal.SIGKILL)
    assert found == {"sleep-3-c", "sleep-3-d"}, "those that were free"
    # Ray and Tune take as long for the first driver, which found every stage free.
    assert seconds["second"][0] < seconds["first"][0] + 5
    assert trained(tmp_path) == sorted(stages)


def test_a_waiting_driver_holds_no_gang_and_ends_at_an_interrupt(tmp_path: Path) -> None:
    stage = "sleep-60-a"
    with tempfile.TemporaryDirectory(dir="/tmp") as one, tempfile.TemporaryDirectory(dir="/tmp") as two:
        first = start("first", one, tmp_path, stage)
        try:
            assert wait_until(lambda: len(list(tmp_path.glob("sleep-60-a.0.*"))) == 1, 120)
            second = start("second", two, tmp_path, stage)
            try:
                said = tmp_path / "second.said"
                assert wait_until(lambda: "1 stage is trained by" in said.read_text(), 120)
                second.send_signal(signal.SIGINT)
                assert second.wait(15) == 130
            finally:
                second.send_signal(signal.SIGKILL)
        finally:
            first.send_signal(signal.SIGKILL)
    assert not started(tmp_path, "second")
