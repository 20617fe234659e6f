"""Benchmarks of a user's own: declared in YAML, checked, and kept with tables and experiments."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from stilts.errors import Problems, StiltsError
from stilts.experiment.benchmarks import read_benchmark
from stilts.experiment.load import load_experiment, read_resolved, resolved_yaml
from stilts.experiment.tasks import TaskFile
from stilts.results.scores import averages_of
from stilts.results.table import benchmark_of, build_table
from stilts.tasks.averages import group_averages, task_average
from stilts.tasks.benchmarks import XTREME, get_benchmark
from stilts.tasks.own import use

MINE = """
name: mine
targets: {xnli: [de, sw], topics: all}
groups: {pairs: [xnli], both: [xnli, topics]}
"""
TASKS = "topics: {family: text_classification, languages: [de-ba, gsw], labels: [a, b]}"


@pytest.fixture(autouse=True)
def tasks() -> Iterator[None]:
    use([TaskFile(file="my.yaml", text=TASKS)])
    yield
    use([])


def declared(folder: Path, text: str) -> Path:
    (folder / "mine.yaml").write_text(text)
    return folder / "mine.yaml"


def test_languages_groups_and_averages(tmp_path: Path) -> None:
    found = get_benchmark(read_benchmark(declared(tmp_path, MINE)))
    assert found.languages == {"xnli": ("de", "sw"), "topics": ("de-ba", "gsw")}
    assert averages_of(found) == {"pairs": ("xnli",), "both": ("xnli", "topics"), "mine": ("xnli", "topics")}
    assert found.missing("xnli", ["de"]) == ["sw"]
    scores = {"gsw": {"accuracy": 40, "macro_f1": 1}, "de-ba": {"accuracy": 60, "macro_f1": 3}}
    assert task_average("topics", scores, found) == {"avg_accuracy": 50, "avg_macro_f1": 2, "avg_metric": 50}
    assert group_averages({"xnli": 50, "topics": 70}, found)["both"] == 60


def test_a_table_keeps_the_benchmark_that_it_was_made_for(tmp_path: Path) -> None:
    found = get_benchmark(str(declared(tmp_path, MINE)))
    table = build_table("e", [], {}, lambda *_: None, found)
    use([])
    assert benchmark_of(table) == found
    assert benchmark_of(build_table("e", [], {}, lambda *_: None, XTREME)) is XTREME
    assert isinstance(table, pa.Table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("targets: {xnli: all}", "mine.yaml:1: name: is required"),
        ("name: mine\ntargets: {}", "mine.yaml:2: targets: is empty"),
        ("name: mine\ntargets: {xnli: al}", "mine.yaml:2: targets.xnli: should be 'all' or a list"),
        (
            "name: mine\ntargets: {xnli: all}\ngroups: {a: [xnly]}",
            "groups.a: 'xnly' is not a target",
        ),
        ("name: xnli\ntargets: {xnli: all}", "'xnli' is the name of a target and of an average"),
        ("name: mine\ntarget: {xnli: all}", "mine.yaml:2: target: unknown key; did you mean 'targets'"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        read_benchmark(declared(tmp_path, text))
    assert message in str(caught.value)


def test_unknown_tasks_and_languages(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match="unknown task 'topic'; did you mean 'topics'"):
        get_benchmark(read_benchmark(declared(tmp_path, "name: mine\ntargets: {topic: all}")))
    with pytest.raises(StiltsError, match="task xnli has no language 'gsw'"):
        get_benchmark(read_benchmark(declared(tmp_path, "name: mine\ntargets: {xnli: [gsw]}")))


def test_an_experiment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared(tmp_path, MINE)
    model = "models: {m: {hub: FacebookAI/xlm-roberta-base, revision: e73636d4f797}}"
    text = f"name: e\nbenchmark: mine.yaml\nseeds: [1]\n{model}\nintermediates: [none]\ntargets: [xnli]\n"
    (tmp_path / "e.yaml").write_text(text)
    monkeypatch.chdir(tmp_path.parent)
    loaded = load_experiment(tmp_path / "e.yaml")
    assert loaded.benchmark == read_benchmark(tmp_path / "mine.yaml")
    assert read_resolved(resolved_yaml(loaded)) == loaded
    (tmp_path / "e.yaml").write_text(text.replace("targets: [xnli]", "targets: {both: {task: xnli}}"))
    with pytest.raises(Problems, match=r"targets.both: the benchmark has an average of this name"):
        load_experiment(tmp_path / "e.yaml")
    (tmp_path / "e.yaml").write_text(text.replace("mine.yaml", "other.yaml"))
    with pytest.raises(Problems, match=r"e.yaml:2: benchmark: cannot read the experiment .*other.yaml"):
        load_experiment(tmp_path / "e.yaml")
