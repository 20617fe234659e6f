"""Experiments that bring tasks along: their files, keys, and what travels with a job."""

from pathlib import Path

import pytest

from stilts.errors import Problems
from stilts.experiment.load import load_experiment, read_resolved, resolved_yaml
from stilts.identity.stage import StageSpec
from stilts.session import Session
from stilts.tasks.own import use

TASKS = """
mine:
  family: classification
  labels: [same, other]
  languages: [en, bar]
  files: {train: "train.tsv", dev: "dev.tsv", test: "{lang}/test.tsv"}
"""
EXPERIMENT = """
name: own
store: FOLDER/store
tasks: [parts/my.yaml]
seeds: [1]
models:
  tiny:
    init:
      config: {model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}
      tokenizer: {vocab_size: 300}
intermediates: [none]
targets: [mine]
data: {tasks: {mlm: {train: "FOLDER/{lang}.txt"}}}
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    parts = tmp_path / "parts"
    for file in ("train.tsv", "dev.tsv", "en/test.tsv", "bar/test.tsv"):
        (parts / file).parent.mkdir(parents=True, exist_ok=True)
        (parts / file).write_text("a b\tc\tsame\nd\te f\tother\n")
    (parts / "my.yaml").write_text(TASKS)
    (tmp_path / "en.txt").write_text("a b c\n")
    (tmp_path / "own.yaml").write_text(EXPERIMENT.replace("FOLDER", str(tmp_path)))
    monkeypatch.chdir(tmp_path.parent)
    yield tmp_path / "own.yaml"
    use([])


def stage(session: Session) -> StageSpec:
    (found,) = [node.spec for node in session.expansion.graph if isinstance(node.spec, StageSpec)]
    return found


def keys(session: Session) -> tuple[str, list[str]]:
    (node,) = [node for node in session.expansion.graph if isinstance(node.spec, StageSpec)]
    return node.key, [spec.key for spec in node.evaluations.values() if spec.split == "test"]


def test_paths_start_at_the_file_that_names_them(experiment: Path) -> None:
    loaded = load_experiment(experiment)
    source = loaded.data.tasks["mine"]
    assert source.train == str(experiment.parent / "parts" / "train.tsv")
    assert source.test == str(experiment.parent / "parts" / "{lang}" / "test.tsv")
    assert Session.of(loaded).expansion.cells


def test_the_experiments_own_files_have_precedence(experiment: Path) -> None:
    loaded = load_experiment(experiment, ["data.tasks.mine.dev=other.tsv"])
    assert loaded.data.tasks["mine"].dev == "other.tsv"
    assert loaded.data.tasks["mine"].train == str(experiment.parent / "parts" / "train.tsv")


def test_the_resolved_experiment_needs_no_file_of_tasks(experiment: Path) -> None:
    loaded = load_experiment(experiment)
    (experiment.parent / "parts" / "my.yaml").unlink()
    assert read_resolved(resolved_yaml(loaded)) == loaded


def test_every_job_takes_the_files_along(experiment: Path) -> None:
    session = Session.open(experiment)
    jobs = session.plan().jobs.values()
    assert len(jobs) == 2
    assert all(job.tasks == session.experiment.tasks and "family" in job.tasks[0].text for job in jobs)


def test_what_changes_the_training_is_in_the_key(experiment: Path) -> None:
    def planned(text: str) -> tuple[str, list[str]]:
        (experiment.parent / "parts" / "my.yaml").write_text(text)
        return keys(Session.open(experiment))

    key, evaluations = planned(TASKS)
    assert planned("# a remark\n" + TASKS.replace("[en, bar]", "[bar, en]"))[0] == key
    assert planned(TASKS + "  tokens_per_row: 9\n") == (key, evaluations)
    assert planned(TASKS.replace("[same, other]", "[other, same]"))[0] != key
    assert planned(TASKS + "  recipe: {epochs: 1}\n")[0] != key
    assert planned(TASKS + "  metrics: [macro_f1]\n")[0] == key
    assert planned(TASKS + "  metrics: [macro_f1]\n")[1] != evaluations
    assert planned(TASKS + "  metric: macro_f1\n")[0] != key  # it selects the weights


def test_a_payload_says_what_the_task_is(experiment: Path) -> None:
    task = stage(Session.open(experiment)).payload()["parts"][0]["task"]
    assert task["definition"]["labels"] == ["same", "other"]
    assert task["definition"]["origin"] == "declared"


def test_mistakes_in_a_file_of_tasks_are_mistakes_of_the_experiment(experiment: Path) -> None:
    (experiment.parent / "parts" / "my.yaml").write_text("mine: {famly: tagging}")
    with pytest.raises(Problems, match=r"own.yaml:4: tasks: .*my.yaml:1: mine.famly: unknown key"):
        load_experiment(experiment)
    (experiment.parent / "parts" / "my.yaml").unlink()
    with pytest.raises(Problems, match=r"own.yaml:4: tasks: cannot read the tasks .*my.yaml"):
        load_experiment(experiment)


def test_a_task_without_files_is_a_mistake_of_the_plan(experiment: Path) -> None:
    (experiment.parent / "parts" / "my.yaml").write_text("mine: {family: classification, labels: [a, b]}")
    with pytest.raises(Problems, match=r"no train data for task mine .*give files as data.tasks.mine.train"):
        Session.open(experiment)
