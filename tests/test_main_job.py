"""The main job, whole: a small grid on the generated corpus through the command line, with real Ray and DeepSpeed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.tiny import TINY

EXPERIMENT = (
    """\
name: small
store: {store}
seeds: [1]
"""
    + TINY
    + """\
    pretrain: [{{task: mlm, recipe: {{max_steps: 20, batch_size: 16, max_length: 64}}}}]
intermediates: [none, mnli]
targets: [xnli, udpos, xquad, tatoeba]
recipe: {{precision: fp32, learning_rate: 1e-3, max_steps: 12, batch_size: 8, max_length: 96}}
recipes: {{squad: {{stride: 32}}}}
settings: {{squad: {{max_length: 96}}, xquad: {{max_length: 96}}, tatoeba: {{max_length: 96}}}}
data: {{generate: {{languages: 2, sentences: 60}}}}
runtime: {{checkpoint_seconds: 0.5}}
"""
)

STAGES = 8  # mlm, mnli, and xnli, udpos and squad after none and after mnli


def write(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.yaml"
    path.write_text(EXPERIMENT.format(store=folder / "store"))
    return path


def command(experiment: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "stilts", *arguments[:1], str(experiment), *arguments[1:]]


def stilts(experiment: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(experiment, *arguments), cwd=experiment.parent, capture_output=True, text=True, check=False, timeout=900
    )


def records(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("store/stages/*/record.json")}


def scores(folder: Path) -> list[dict[str, Any]]:
    table = pq.read_table(folder / "results" / "small" / "results.parquet")
    return table.select(["intermediate", "target", "language", "metric", "value", "status"]).to_pylist()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the experiment has run undisturbed."""
    experiment = write(tmp_path_factory.mktemp("undisturbed"))
    run = stilts(experiment, "run")
    assert run.returncode == 0, run.stderr
    assert "tatoeba" in run.stdout
    return experiment.parent


def test_every_cell_has_a_score_and_the_files_are_there(finished: Path) -> None:
    rows = scores(finished)
    assert {row["status"] for row in rows} == {"ok"}
    assert len({(row["intermediate"], row["target"], row["language"]) for row in rows}) == 2 * (3 * 3 + 2)
    results = finished / "results" / "small"
    assert {"table.md", "table.csv", "table.tex", "languages-xnli.md"} <= {path.name for path in results.iterdir()}


def test_the_second_run_trains_nothing(finished: Path) -> None:
    before = records(finished)
    run = stilts(finished / "small.yaml", "run")
    assert run.returncode == 0, run.stderr
    assert "nothing to train" in run.stderr
    assert records(finished) == before
    plan = json.loads(stilts(finished / "small.yaml", "plan", "--json").stdout)
    assert (plan["stages"], plan["done"], plan["to_train"]) == (STAGES, STAGES, 0)


def test_kept_weights_open_with_transformers(finished: Path) -> None:
    from transformers import AutoModel

    kept = sorted(path.name for path in finished.glob("store/stages/*") if (path / "weights").exists())
    assert [name.rsplit("-", 1)[0] for name in kept] == [
        "xlm-roberta",
        "xlm-roberta-mlm-mnli-s1",
        "xlm-roberta-mlm-s0",
    ]
    for name in kept:
        AutoModel.from_pretrained(finished / "store" / "stages" / name / "weights", local_files_only=True)
    assert not list(finished.glob("store/stages/*/resume/*"))


def test_a_corrupt_artifact_is_rebuilt(finished: Path) -> None:
    [weights] = finished.glob("store/stages/*-mlm-mnli-*/weights/model.safetensors")
    intact = weights.read_bytes()
    weights.write_bytes(intact[:-1] + bytes([intact[-1] ^ 1]))
    [predictions] = finished.glob("store/stages/*-mlm-mnli-xnli-*/evaluations/xnli/test-en-*.tsv")
    gold = predictions.read_bytes()
    predictions.write_bytes(b"neutral\n")
    run = stilts(finished / "small.yaml", "run")
    assert run.returncode == 0, run.stderr
    assert weights.read_bytes() == intact
    assert predictions.read_bytes() == gold


def test_the_other_commands_read_the_same_store(finished: Path, tmp_path: Path) -> None:
    experiment = finished / "small.yaml"
    states = json.loads(stilts(experiment, "status", "--json").stdout)["stages"]
    assert {row["state"] for row in states} == {"done"}
    out = tmp_path / "submission"
    made = stilts(experiment, "submission", "--out", str(out), "--intermediate", "tatoeba=none", "--json")
    assert made.returncode == 0, made.stderr
    assert set(json.loads(made.stdout)["targets"]) == {"xnli", "udpos", "xquad", "tatoeba"}
    [stage] = [row["name"] for row in states if "-mnli-xnli-" in row["name"]]
    why = [sys.executable, "-m", "stilts", "explain", stage, "-e", str(experiment), "--json"]
    found = json.loads(subprocess.run(why, cwd=finished, capture_output=True, check=True).stdout)
    assert "reused" in found["verdict"]


def test_a_changed_recipe_is_explained_by_its_field(finished: Path) -> None:
    plan = json.loads(stilts(finished / "small.yaml", "plan", "--set", "recipes.udpos.batch_size=4", "--json").stdout)
    name = next(row["name"] for row in plan["by_stage"] if row["state"] == "train")
    why = ["explain", name, "-e", str(finished / "small.yaml"), "--set", "recipes.udpos.batch_size=4", "--json"]
    done = subprocess.run([sys.executable, "-m", "stilts", *why], cwd=finished, capture_output=True, check=True)
    [difference] = json.loads(done.stdout)["differences"]
    assert (difference["field"], difference["wanted"], difference["stored"]) == ("recipe.batch_size", 4, 8)


def test_killed_drivers_go_on_and_end_in_the_same_table(finished: Path, tmp_path: Path) -> None:
    experiment = write(tmp_path / "disturbed")
    for wanted in (2, 5):
        with subprocess.Popen(command(experiment, "run"), cwd=experiment.parent, stderr=subprocess.DEVNULL) as driver:
            deadline = time.monotonic() + 600
            while len(records(experiment.parent)) < wanted and time.monotonic() < deadline:
                time.sleep(0.1)
            driver.send_signal(signal.SIGKILL)
        before = records(experiment.parent)
        assert len(before) >= wanted
    run = stilts(experiment, "run")
    assert run.returncode == 0, run.stderr
    after = records(experiment.parent)
    assert {name: after[name] for name in before} == before
    assert scores(experiment.parent) == scores(finished)


@pytest.mark.slow
def test_a_run_that_stops_at_its_limit_goes_on_to_the_same_table(finished: Path, tmp_path: Path) -> None:
    experiment = write(tmp_path / "limited")
    run = stilts(experiment, "run", "--max-gpu-hours", "0.003")
    assert run.returncode == 3, run.stderr
    assert "of 0.003 CPU-hours (--max-gpu-hours) are spent" in run.stderr
    assert "failed" not in run.stderr
    before = records(experiment.parent)
    assert len(before) < STAGES
    run = stilts(experiment, "run", "--max-gpu-hours", "10")
    assert run.returncode == 0, run.stderr
    assert "in 2 launches" in stilts(experiment, "status").stdout
    after = records(experiment.parent)
    assert {name: after[name] for name in before} == before
    assert scores(experiment.parent) == scores(finished)


@pytest.mark.slow
def test_two_ranks_and_every_zero_stage(tmp_path: Path) -> None:
    for stage in range(4):
        experiment = write(tmp_path / f"zero{stage}")
        settings = [f"runtime.zero_stage={stage}", "runtime.ranks=2", "targets=[xnli, tatoeba]"]
        run = stilts(experiment, "run", *(f"--set={setting}" for setting in settings))
        assert run.returncode == 0, run.stderr
        assert {row["status"] for row in scores(experiment.parent)} == {"ok"}


def test_a_failed_stage_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    experiment = write(tmp_path / "failing")
    # An epsilon that is 0 in fp32 makes the update of a weight without a gradient 0 / 0.
    run = stilts(experiment, "run", "--set", "recipes.mnli.adam_epsilon=1e-300", "--set", "targets=[xnli]")
    assert run.returncode == 1
    assert "diverged" in run.stderr
    statuses = {(row["intermediate"], row["status"]) for row in scores(experiment.parent)}
    assert statuses == {("none", "ok"), ("mnli", "not run")}
    (failure,) = experiment.parent.glob("store/stages/*/failure.json")
    written = failure.read_bytes()
    # The same stage would diverge again, so it is not trained again and Ray is not started.
    same = stilts(experiment, "run", "--set", "recipes.mnli.adam_epsilon=1e-300", "--set", "targets=[xnli]")
    assert same.returncode == 1
    assert "diverged in an earlier run" in same.stderr
    assert "--retry diverged tries again" in same.stderr
    assert failure.read_bytes() == written
    again = stilts(experiment, "run", "--set", "targets=[xnli]")
    assert again.returncode == 0, again.stderr
    assert {row["status"] for row in scores(experiment.parent)} == {"ok"}
