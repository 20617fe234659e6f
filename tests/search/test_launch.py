"""A whole search on generated data: Ray, gangs, training, the study, and the experiment that takes its best recipe."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from stilts.ledger.clean import clean
from stilts.ledger.garbage import find_garbage
from stilts.ledger.record import read_stage
from stilts.plan.summary import summarize
from stilts.search.journal import StoreJournal
from stilts.session import Session
from stilts.storage.local import LocalStore
from tests.tiny import TINY

pytestmark = pytest.mark.slow

EXPERIMENT = (
    """\
name: grid
seeds: [1]
"""
    + TINY
    + """\
intermediates: [none]
targets: [xnli]
settings: {xnli: {max_length: 64}}
recipe: {precision: fp32, learning_rate: 1e-3, max_steps: 4, batch_size: 8, max_length: 64, selection: best-dev}
recipes: {xnli: {evaluate_every: 2}}
data:
  generate: {languages: 1, sentences: 60}
runtime: {max_parallel: 1, accelerator: cpu}
"""
)
SEARCH = """\
experiment: grid.yaml
name: search
search:
  target: xnli
  trials: 3
  space: {learning_rate: {low: 1e-4, high: 1e-2, log: true}, batch_size: {choices: [8, 16]}}
  stopping: {min_steps: 2, reduction: 2}
"""


def stilts(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stilts", *arguments, f"--set=store={folder / 'store'}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    (folder / "grid.yaml").write_text(EXPERIMENT)
    (folder / "search.yaml").write_text(SEARCH)
    return folder


@pytest.fixture(scope="module")
def trials(folder: Path) -> list[dict]:
    return json.loads(stilts(folder, "tune", "search.yaml", "--json").stdout)


def test_every_trial_is_over_and_its_values_are_in_the_table(trials: list[dict], folder: Path) -> None:
    assert [trial["trial"] for trial in trials] == [0, 1, 2]
    assert trials[0]["learning_rate"] == 1e-3
    assert trials[0]["batch_size"] == 8
    assert trials[0]["state"] == "done"
    assert {trial["state"] for trial in trials} <= {"done", "stopped"}
    store = LocalStore(folder / "store")
    for trial in trials:
        record = read_stage(store, trial["stages"][0])
        assert (record is not None) == (trial["state"] == "done")
        if record is not None:
            assert trial["dev"] == record["dev"]["score"]
            assert record["train"]["steps"] == 4


def test_the_same_command_again_trains_nothing(trials: list[dict], folder: Path) -> None:
    again = stilts(folder, "tune", "search.yaml", "--json")
    assert json.loads(again.stdout) == trials


def test_only_the_best_trial_keeps_its_weights_and_a_collector_finds_nothing(trials: list[dict], folder: Path) -> None:
    store = LocalStore(folder / "store")
    winner = max((t for t in trials if t["dev"] is not None), key=lambda t: t["dev"])["stages"][0]
    stages = {stage for trial in trials for stage in trial["stages"]}
    assert [stage for stage in stages if list(store.list(f"stages/{stage}/weights"))] == [winner]
    assert not [item for item in find_garbage(store).items if item.path.startswith("stages/")]


def test_an_experiment_with_the_best_recipe_finds_its_stage_trained(trials: list[dict], folder: Path) -> None:
    best = folder / "results" / "search" / "best.yaml"
    session = Session.open(folder / "grid.yaml", [f"store={folder / 'store'}"], [best])
    winner = max((t for t in trials if t["dev"] is not None), key=lambda t: t["dev"])["stages"][0]
    assert winner[-12:] in {key[:12] for key in session.expansion.graph.nodes}
    assert summarize(session.plan())["to_train"] == 0


def test_the_plots_and_the_study_are_there(trials: list[dict], folder: Path) -> None:
    results = folder / "results" / "search"
    assert {"trials.md", "trials.parquet", "best.yaml"} <= {file.name for file in results.iterdir()}
    drawn = {file.stem for file in results.glob("*.png")}
    assert {"search-history", "search-slice", "search-parallel", "search-intermediate"} <= drawn
    journal = StoreJournal(LocalStore(folder / "store"), "experiments/search/study")
    study = optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(journal))
    assert [trial.number for trial in study.trials] == [trial["trial"] for trial in trials]


def test_a_collector_takes_nothing_from_a_search_that_runs_is_killed_and_ends(tmp_path: Path) -> None:
    """With `keep: none`, so that nothing but the search itself protects the base model from which its trials start."""
    (tmp_path / "grid.yaml").write_text(EXPERIMENT.replace("max_steps: 4", "max_steps: 12"))
    (tmp_path / "search.yaml").write_text(SEARCH.replace("stopping: {min_steps: 2, reduction: 2}", ""))
    command = [sys.executable, "-m", "stilts", "tune", "search.yaml", f"--set=store={tmp_path / 'store'}"]
    command += ["--set=runtime.keep=none", "--json"]
    store = LocalStore(tmp_path / "store")
    results, removed = [], []
    for kills in (True, False):
        search = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        while search.poll() is None:
            if list(store.list("experiments")):
                removed += clean(store, find_garbage(store).items, (), lambda who: None)
            ended = [name for name in store.list("stages") if (read_stage(store, name) or {}).get("train")]
            if kills and ended:
                os.killpg(search.pid, signal.SIGKILL)
            time.sleep(0.2)
        results.append(search.communicate())
        found = find_garbage(store)
        assert not [item for item in found.items if item.path.startswith("stages/") and "resume" not in item.path]
    assert search.returncode == 0, results[-1][1]
    trials = json.loads(results[-1][0])
    assert [trial["state"] for trial in trials] == ["done"] * 3
    stages = {stage for trial in trials for stage in trial["stages"]}
    assert all(read_stage(store, stage) for stage in stages)
    winner = max(trials, key=lambda trial: trial["dev"])["stages"][0]
    assert [name for name in store.list("stages") if list(store.list(f"stages/{name}/weights"))] == [winner]
    assert not any(item.path == f"stages/{stage}" for item in removed for stage in stages)
