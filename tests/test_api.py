"""The Python API: what it exports, what it returns, its examples, and a whole tiny experiment (slow)."""

import doctest
import importlib
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

import stilts
from tests.tiny import TINY

ROOT = Path(__file__).parent.parent
MODULES = ("stilts", "stilts.api", "stilts.experiment.experiment")


def tiny(folder: Path, **fields: Any) -> "stilts.Experiment":
    """One model, two regimes, one target, made in Python."""
    import yaml

    return stilts.Experiment(
        **{
            "name": "tiny",
            "store": folder / "store",
            "results": folder / "results",
            "seeds": [1],
            "models": yaml.safe_load(TINY)["models"],
            "intermediates": ["none", "mnli"],
            "targets": ["xnli"],
            "settings": {"xnli": {"max_length": 64}, "mnli": {"max_length": 64}},
            "recipe": {
                "precision": "fp32",
                "learning_rate": 1e-3,
                "max_steps": 4,
                "batch_size": 8,
                "max_length": 64,
                "warmup": 0,
            },
            "data": {"generate": {"languages": 1, "sentences": 60}},
            "runtime": {"accelerator": "cpu", "max_parallel": 1},
            **fields,
        }
    )


def test_every_public_name_is_there_and_documented() -> None:
    assert len(set(stilts.__all__)) == len(stilts.__all__)
    for name in stilts.__all__:
        found = getattr(stilts, name)
        assert name == "__version__" or found.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        stilts.nothing  # noqa: B018


def test_functions_stay_functions_when_packages_of_their_names_are_imported() -> None:
    importlib.import_module("stilts.plan.summary")
    importlib.import_module("stilts.run.result")
    assert callable(stilts.plan)
    assert callable(stilts.run)


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the experiments in `ray_jobs`, and with what the examples store: the data is generated once."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "ray_jobs", folder / "ray_jobs")
    return folder


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_docstrings_run(module: str, experiments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(experiments)
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0


def test_a_file_and_an_object_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(tiny(tmp_path).model_dump_json())
    patch = tmp_path / "patch.yaml"
    patch.write_text("recipe: {max_steps: 2}\n")
    assert stilts.load(path) == tiny(tmp_path)
    assert stilts.load(path, overrides=["recipe.max_steps=3"], patches=[patch]).recipe.max_steps == 3
    assert stilts.plan(path).to_json() == stilts.plan(tiny(tmp_path)).to_json()


def test_a_plan_prints_itself_and_is_a_table(tmp_path: Path) -> None:
    plan = stilts.plan(tiny(tmp_path))
    assert (plan.figures["cells"], plan.figures["stages"]) == (2, 3)
    assert sorted(plan.table["state"]) == ["base", "train", "train", "train"]
    assert "tiny: 2 cells, 3 stages" in str(plan)
    assert "tiny" in plan._repr_html_()
    assert plan._repr_html_().startswith("<pre")
    with pytest.raises(stilts.StiltsError, match="describe the machines"):
        stilts.plan(tiny(tmp_path), simulate=True)


def test_the_state_of_what_has_not_run(tmp_path: Path) -> None:
    status = stilts.status(tiny(tmp_path))
    assert set(status.table["state"]) == {"waiting"}
    assert status.spent.launches == 0
    stage = status.states[-1]["name"]
    explanation = stilts.explain(tiny(tmp_path), stage)
    assert "not in the store" in explanation.verdict
    assert stage in str(explanation)


def test_results_of_what_has_not_run_are_tables_of_missing_cells(tmp_path: Path) -> None:
    results = stilts.collect(tiny(tmp_path))
    assert isinstance(results["results"], pa.Table)
    assert set(results.to_pandas()["status"]) == {"missing"}
    with pytest.raises(KeyError, match="did you mean 'summary'"):
        results["sumary"]
    with pytest.raises(stilts.StiltsError, match="no regime 'nonee'"):
        stilts.collect(tiny(tmp_path), baseline="nonee")


def test_scores_are_a_table(tmp_path: Path) -> None:
    for folder in ("predictions", "labels"):
        (tmp_path / folder / "xnli").mkdir(parents=True)
        (tmp_path / folder / "xnli" / "test-en.tsv").write_text("neutral\nentailment\n")
    scores = stilts.score(tmp_path / "predictions", tmp_path / "labels")
    assert scores.table.to_dict("records") == [
        {"task": "xnli", "language": "en", "metric": "accuracy", "score": 100.0},
    ]
    assert "100.00" in str(scores)


def test_outcomes_tell_what_failed() -> None:
    from stilts.ledger.spending import Spending
    from stilts.schedule.agenda import StageOutcome

    stages = {"a": StageOutcome("done"), "b": StageOutcome("failed", "out of memory"), "c": StageOutcome("waiting")}
    result = stilts.RunResult(stages, Spending(1.5))
    assert (result.done, list(result.failed), result.waiting, result.complete) == (["a"], ["b"], ["c"], False)
    with pytest.raises(stilts.StiltsError, match=r"1 of 3 stages did not end well:\n  - b: failed: out of memory"):
        result.raise_if_incomplete()
    limited = stilts.RunResult({"a": StageOutcome("done"), "c": StageOutcome("waiting")}, Spending(), "the limit")
    with pytest.raises(stilts.LimitReached, match="1 of 2 stages wait"):
        limited.raise_if_incomplete()
    assert result.table["status"].tolist() == ["done", "failed", "waiting"]
    stilts.RunResult({}, Spending()).raise_if_incomplete()


@pytest.mark.slow
def test_a_whole_experiment_in_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = tiny(tmp_path)
    result = stilts.run(experiment)
    assert result.complete, result
    assert len(result.done) == 4
    assert result.spent.launches == 1
    assert stilts.plan(experiment).figures["to_train"] == 0
    results = stilts.collect(experiment)
    assert set(results.to_pandas("summary")["intermediate"]) == {"none", "mnli"}
    assert set(results.to_pandas()["status"]) == {"ok"}
    assert (tmp_path / "results" / "table.md") in results.write()
    report = stilts.report(experiment)
    assert report.path.stat().st_size > 10_000
    assert report.figures
    assert capsys.readouterr().out == "", "nothing is printed"
    with (tmp_path / "log").open("w") as log:
        again = stilts.run(experiment, console=Console(file=log))
    assert (again.complete, again.stages) == (True, {})
    assert "nothing to train" in (tmp_path / "log").read_text()
