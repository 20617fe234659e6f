"""What stages report reaches the trackers, once each, whatever happens to the trial or to the tracker."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stilts.errors import StiltsError
from stilts.identity.stage import DataRef, EvaluationSpec
from stilts.ledger.record import write_evaluation, write_stage
from stilts.run.trackers.base import Tracked, Tracker
from stilts.run.trackers.callback import Trackers
from stilts.run.trackers.mlflow import MLflow
from stilts.run.trackers.open import open_trackers
from stilts.run.trackers.tensorboard import TensorBoard
from stilts.run.trackers.wandb import WeightsAndBiases
from stilts.storage.local import LocalStore
from tests.run.trackers.events import events, scalars

NAME = "mnli-s1-0123456789ab"
GERMAN = EvaluationSpec("xnli", 1, "test", "de", DataRef("xnli", "test", "de", "sha256:0"))
STAGE = Tracked(
    NAME, "0123456789ab" * 5, ("tiny/mnli/xnli/s1",), {"tasks": "mnli", "recipe.learning_rate": 1e-3}, (GERMAN,)
)


class Memory:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def begin(self, stage: Tracked, step: int | None) -> None:
        self.told.append(("begin", step))

    def log(self, stage: Tracked, step: int, values: Mapping[str, float]) -> None:
        self.told.append((step, dict(values)))

    def end(self, stage: Tracked, status: str, step: int, scores: Mapping[str, float]) -> None:
        self.told.append((status, step, dict(scores)))


class Broken(Memory):
    def log(self, stage: Tracked, step: int, values: Mapping[str, float]) -> None:
        raise OSError("no route to https://user:pa55word@host")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store in which the stage is done."""
    store = LocalStore(tmp_path / "store")
    write_stage(
        store,
        NAME,
        {
            "weights": None,
            "train": {"steps": 40, "losses": [[1, 1.0], [40, 0.025]]},
            "dev": {"curve": [[20, 50.0], [40, 60.0]]},
        },
    )
    write_evaluation(store, NAME, GERMAN, b"neutral\n", ".tsv", {"metrics": {"accuracy": 55.0}})
    return store


def trial(**result: Any) -> Any:
    return SimpleNamespace(config={"stage": NAME}, last_result=result)


def train(trackers: Trackers, *steps: int) -> None:
    for step in steps:
        dev = [[at, at * 1.0] for at in (20, 40) if at <= step]
        trackers.on_trial_result(0, [], trial(), {"step": step, "steps": 40, "loss": 1 / step, "curve": dev, "pid": 3})


def run(store: LocalStore, *steps: int, done: bool = True, warned: list[str] | None = None, **by_name: Tracker) -> None:
    warnings: list[str] = [] if warned is None else warned
    with Trackers(by_name, {NAME: STAGE}, store, warnings.append) as trackers:
        trackers.on_trial_result(0, [], trial(), {"phase": "features of mnli"})
        train(trackers, *steps)
        trackers.on_trial_result(0, [], trial(), {"phase": "evaluating xnli/de", "step": 0, "steps": 1})
        if done:
            trackers.on_trial_complete(0, [], trial(status="done"))


def test_every_step_once_though_the_trial_is_started_again(store: LocalStore) -> None:
    memory = Memory()
    run(store, 10, 20, 30, 15, 25, 35, 35, memory=memory)
    assert memory.told[0] == ("begin", 10)
    logged = [(told[0], told[1]) for told in memory.told if isinstance(told[1], dict)]
    losses = [step for step, values in logged if "loss" in values]
    dev = {step: values["dev/score"] for step, values in logged if "dev/score" in values}
    assert losses == [10, 20, 30, 35, 40]  # the last from the record: it was not reported
    assert dev == {20: 20.0, 40: 60.0}
    assert memory.told[-1] == ("done", 40, {"test/xnli/de": 55.0})


def test_what_is_only_evaluated_has_its_scores(store: LocalStore) -> None:
    memory = Memory()
    with Trackers({"memory": memory}, {NAME: replace(STAGE, trains=False)}, store, print) as trackers:
        trackers.on_trial_complete(0, [], trial(status="done"))
    assert memory.told == [("begin", None), ("done", 40, {"test/xnli/de": 55.0})]


def test_what_was_too_short_lived_to_be_reported_is_in_the_record(store: LocalStore) -> None:
    memory = Memory()
    run(store, memory=memory)
    assert memory.told[0] == ("begin", 1)
    assert (40, {"loss": 0.025}) in memory.told
    assert (20, {"dev/score": 50.0}) in memory.told
    assert memory.told[-1] == ("done", 40, {"test/xnli/de": 55.0})


def test_a_stopped_stage_is_said_to_be_stopped(store: LocalStore) -> None:
    memory = Memory()
    run(store, 10, done=False, memory=memory)
    assert memory.told[-1] == ("stopped", 10, {})


def test_a_tracker_that_fails_is_left_out(store: LocalStore) -> None:
    broken, memory, warned = Broken(), Memory(), []
    run(store, 10, 20, warned=warned, broken=broken, memory=memory)
    assert broken.told == [("begin", 10)]
    assert memory.told[-1][0] == "done"
    (warning,) = warned
    assert warning.startswith("the tracker broken failed, and the run continues without it: OSError: no route")
    assert "pa55word" not in warning


def test_tensorboard_shows_every_step_once_over_several_launches(store: LocalStore, tmp_path: Path) -> None:
    run(store, 22, 30, done=False, tensorboard=TensorBoard(tmp_path / "board"))  # dev at 20 came before the first step
    run(store, 25, 35, tensorboard=TensorBoard(tmp_path / "board"))
    found = scalars(tmp_path / "board" / NAME)
    assert found["loss"] == pytest.approx({step: 1 / step for step in (22, 25, 35, 40)})
    assert found["dev/score"] == {20: 20.0, 40: 60.0}
    assert found["test/xnli/de"] == {40: 55.0}
    content = b"".join(event.SerializeToString() for event in events(tmp_path / "board" / NAME))
    assert b"tiny/mnli/xnli/s1" in content
    assert b"recipe.learning_rate" in content


@pytest.mark.slow
def test_mlflow_has_one_run_over_several_launches(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run(store, 10, 20, 30, done=False, mlflow=MLflow("one", tmp_path))
    run(store, 25, 35, mlflow=MLflow("one", tmp_path))
    client = tracking.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (found,) = client.search_runs([client.get_experiment_by_name("one").experiment_id])
    assert found.info.run_name == NAME
    assert found.info.status == "FINISHED"
    assert found.data.params["recipe.learning_rate"] == "0.001"
    assert found.data.tags["stilts.cells"] == "tiny/mnli/xnli/s1"
    assert [m.step for m in client.get_metric_history(found.info.run_id, "loss")] == [10, 20, 30, 35, 40]
    assert found.data.metrics["test/xnli/de"] == 55.0


@pytest.fixture
def wandb() -> Iterator[Any]:
    """The package, as it is when it has just been imported: it reads the environment once."""
    package = pytest.importorskip("wandb")
    package.teardown()
    yield package
    package.teardown()


@pytest.mark.slow
@pytest.mark.usefixtures("wandb")
def test_wandb_logs_offline(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", secret := "s3cr3tM4rk0123456789")
    warned: list[str] = []
    run(store, 10, 20, 30, warned=warned, wandb=WeightsAndBiases("one", tmp_path / "results"))
    assert warned == []
    (log,) = tmp_path.glob("results/wandb/offline-run-*/*.wandb")
    content = log.read_bytes()
    for expected in (NAME, "test/xnli/de", "dev/score", "tiny/mnli/xnli/s1"):
        assert expected.encode() in content
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if secret.encode() in path.read_bytes()]


@pytest.mark.usefixtures("wandb")
def test_wandb_without_a_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(StiltsError, match="needs a key: set WANDB_API_KEY"):
        open_trackers(["wandb"], "one", tmp_path)


@pytest.mark.usefixtures("wandb")
def test_a_wrong_key_is_refused_without_telling_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "much-too-short")
    with pytest.raises(StiltsError, match=r"tracker wandb: .*WANDB_MODE=offline") as refused:
        open_trackers(["wandb"], "one", tmp_path)
    assert "much-too-short" not in str(refused.value)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    for module in [module for module in sys.modules if module.startswith(f"{name}.")]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StiltsError, match=rf"pip install 'stilts\[{name}\]'"):
        open_trackers([name], "one", tmp_path)


def test_an_unknown_tracker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match="unknown tracker 'mlfow'; did you mean 'mlflow'"):
        open_trackers(["mlfow"], "one", tmp_path)
