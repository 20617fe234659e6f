"""run: bad data, too small machines and limits end it with one message before anything trains."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stilts.ledger.spending import Spending, write_spending
from stilts.storage.local import LocalStore
from tests.cli.conftest import Run
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("train-en.tsv", "train-en.tsv"),
        (("train-en.tsv", ""), "empty"),
        (("train-en.tsv", "one column\n"), "train-en.tsv:1"),
        (("train-en.tsv", "a\tb\tmaybe\n"), "'maybe'"),
        (("train-en.tsv", "a\tb\n"), "no gold"),
        (("dev-en.tsv", "a\tb\0\tneutral\n"), "NUL"),
        (("test-de.tsv", b"\xff\xfe\tb\n"), "UTF-8"),
    ],
)
def test_damaged_data_is_told_before_training(
    stilts: Run, experiment: Path, damage: str | tuple[str, str | bytes], message: str
) -> None:
    folder = experiment.parent / "xtreme" / "xnli"
    if isinstance(damage, str):
        (folder / damage).unlink()
    else:
        name, content = damage
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, err = stilts("run", experiment)
    assert code == 1
    assert message in err
    assert "Traceback" not in err


def test_too_few_processors_are_told_at_once(stilts: Run, experiment: Path) -> None:
    code, _, err = stilts("run", experiment, "--set", "runtime.cpus_per_rank=999")
    assert code == 1
    assert "999" in err
    code, _, err = stilts("run", experiment, "--set", "runtime.accelerator=gpu", "--set", "runtime.ranks=64")
    assert code == 1
    assert "GPU" in err


@pytest.mark.parametrize("below", ["", "/inner/deeper"])
def test_a_file_in_the_place_of_the_results_is_told_before_training(
    stilts: Run, experiment: Path, tmp_path: Path, below: str
) -> None:
    (tmp_path / "taken").write_text("mine")
    code, out, err = stilts("run", experiment, "--set", f"results={tmp_path}/taken{below}")
    assert (code, out) == (1, "")
    assert "taken is a file; give another folder" in err
    assert "start" not in err
    assert (tmp_path / "taken").read_text() == "mine"


def test_too_little_disk_is_told_before_training(
    stilts: Run, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    code, _, err = stilts("run", experiment)
    assert code == 1
    assert "has 10 bytes free, and this run needs up to" in err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_ray_starts_ends_cleanly(experiment: Path, number: signal.Signals) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", "stilts", "run", str(experiment)]
    driver = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=experiment.parent)
    started = psutil.Process(driver.pid)
    try:
        assert wait_until(lambda: any("gcs_server" in p.name() for p in started.children(recursive=True)), 120)
        children = started.children(recursive=True)
        driver.send_signal(number)
        said = driver.communicate(timeout=60)[1]
    finally:
        driver.kill()
    assert driver.returncode == 130
    assert "interrupted; the same command continues from here" in " ".join(said.split())
    assert wait_until(lambda: not any(p.is_running() and p.status() != "zombie" for p in children), 20)


def test_limits_are_looked_at_before_anything_runs(stilts: Run, experiment: Path) -> None:
    code, _, err = stilts("run", experiment, "--max-cost", 5)
    assert (code, "needs prices" in err) == (1, True)
    store = LocalStore(experiment.parent / "store")
    write_spending(store, "tiny", "earlier", Spending(gpu_hours=2.5, cost=6.0, launches=1), "USD")
    priced = "cluster={nodes: {n: {gpus: 1, cpus: 1, price_per_hour: 2}}}"
    for limit, said in (("--max-cost=5", "6.00 of 5.00 USD"), ("--max-gpu-hours=2", "2.5 of 2 GPU-hours")):
        code, _, err = stilts("run", experiment, limit, "--set", priced)
        assert code == 3
        assert said in err
        assert "with a higher limit continues" in err
    assert "spent: 2.500 GPU-hours, 6.00 USD in 1 launch" in stilts("status", experiment, "--set", priced)[1]
