"""A real run, followed by other processes while it goes on."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard

from tests.run.trackers.events import scalars
from tests.tiny import TINY

EXPERIMENT = (
    """\
name: followed
store: {folder}/store
seeds: [1]
"""
    + TINY
    + """\
intermediates: [none]
targets: [xnli]
recipe: {{precision: fp32, learning_rate: 1e-3, max_steps: 3000, evaluate_every: 500, batch_size: 8, max_length: 64}}
data: {{generate: {{languages: 2, sentences: 60}}}}
runtime: {{keep: all}}
"""
)


@dataclass(frozen=True)
class Followed:
    """A finished run: its folder, what it said, and what its followers saw."""

    folder: Path
    said: str
    in_pipe: str
    on_terminal: str
    snapshot: dict[str, Any]


def stilts(folder: Path, command: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "stilts", command, str(folder / "followed.yaml"), *arguments]


def start(folder: Path, command: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        stilts(folder, command, *arguments), cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def declared(folder: Path) -> Path:
    (folder / "followed.yaml").write_text(EXPERIMENT.format(folder=folder))
    return folder


def read_all(terminal: int, into: list[bytes]) -> None:
    with contextlib.suppress(OSError):  # its end, on Linux
        while content := os.read(terminal, 1 << 16):
            into.append(content)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    folder = declared(tmp_path_factory.mktemp("followed"))
    with contextlib.ExitStack() as started:
        run = start(folder, "run")
        started.callback(run.terminate)
        while not list(folder.glob("store/experiments/followed/runs/*/progress.json")):
            assert run.poll() is None, run.communicate()[0]
            time.sleep(0.2)
        in_pipe = start(folder, "status", "--watch")
        started.callback(in_pipe.kill)
        ours, theirs = pty.openpty()
        on_terminal = subprocess.Popen(
            stilts(folder, "status", "--watch"),
            cwd=folder,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "160", "TERM": "xterm"},
        )
        started.callback(on_terminal.kill)
        os.close(theirs)
        seen: list[bytes] = []
        threading.Thread(target=read_all, args=(ours, seen), daemon=True).start()
        snapshot = {}
        while run.poll() is None:
            time.sleep(0.2)
            if not snapshot and b"/3000" in b"".join(seen):
                on_terminal.send_signal(signal.SIGINT)
                snapshot = json.loads(subprocess.check_output(stilts(folder, "status", "--json"), cwd=folder))
        said = run.communicate()[0]
        assert run.returncode == 0, said
        assert on_terminal.wait(30) == 0, b"".join(seen).decode()
        yield Followed(folder, said, in_pipe.communicate(timeout=60)[0], b"".join(seen).decode(), snapshot)


def test_a_pipe_gets_a_line_for_each_time_and_at_last_the_states(followed: Followed) -> None:
    lines = [line for line in followed.in_pipe.splitlines() if re.match(r"\d\d:\d\d:\d\d \d of 2 done", line)]
    steps = [int(step) for line in lines for step in re.findall(r"step (\d+)/3000", line)]
    assert len(set(steps)) > 1
    assert any(re.search(r"step \d+/3000, loss \d\.\d{3}, [\d,]+ tokens/s, .* left", line) for line in lines)
    assert "spent: " in lines[-1]
    assert "done 2" in followed.in_pipe
    assert "Traceback" not in followed.in_pipe


def test_a_terminal_shows_the_display_of_the_driver_until_ctrl_c(followed: Followed) -> None:
    assert re.search(r"xlm-roberta-xnli-s1-\w{12} +\d+/3000 +\d\.\d{3} +[\d,]+", followed.on_terminal)
    assert "tokens/s" in followed.on_terminal
    assert "process" in followed.on_terminal
    assert "Traceback" not in followed.on_terminal


def test_json_is_one_snapshot(followed: Followed) -> None:
    (run,) = followed.snapshot["runs"]
    assert run["alive"]
    assert run["age"] < 30
    assert sum(run["progress"]["counts"].values()) == len(followed.snapshot["stages"]) == 2
    (stage,) = run["progress"]["running"]
    assert "running" in {row["state"] for row in followed.snapshot["stages"]}
    assert stage["name"] in {row["name"] for row in followed.snapshot["stages"]}
    assert followed.snapshot["spent"]["launches"] == 1


def test_nothing_is_left_of_a_run_that_ended(followed: Followed) -> None:
    assert list(followed.folder.glob("store/experiments/followed/runs/*")) == []


def test_tensorboard_has_the_steps_and_scores_of_every_trained_stage(followed: Followed) -> None:
    for folder in (followed.folder / "results/followed/tensorboard").iterdir():
        record = json.loads((followed.folder / "store/stages" / folder.name / "record.json").read_bytes())
        losses, found = dict(record["train"]["losses"]), scalars(folder)
        assert found["loss"] == pytest.approx({step: losses[step] for step in found["loss"]})
        assert 3000 in found["loss"]
        assert found["dev/score"] == pytest.approx(dict(record["dev"]["curve"]))
        languages = {name for name in found if name.startswith("test/xnli/")}
        assert len(languages) == (3 if "xnli" in folder.name else 0)
        assert all(list(found[name]) == [3000] for name in languages)
    assert len(list((followed.folder / "results/followed/tensorboard").iterdir())) == 1


def test_kept_weights_have_a_model_card(followed: Followed) -> None:
    cards = {path.parent.name: ModelCard.load(path) for path in followed.folder.glob("store/stages/*/README.md")}
    (name,) = cards
    assert name.startswith("xlm-roberta-xnli-s1-")
    assert (followed.folder / "store/stages" / name / "weights").is_dir()
    assert "random weights, trained on xnli" in cards[name].text


@pytest.mark.slow
def test_the_table_is_that_of_a_run_that_nobody_followed(followed: Followed, tmp_path: Path) -> None:
    alone = declared(tmp_path)
    subprocess.run(stilts(alone, "run"), cwd=alone, check=True, capture_output=True)
    tables = [pq.read_table(folder / "results/followed/results.parquet") for folder in (followed.folder, alone)]
    assert tables[0].equals(tables[1])
