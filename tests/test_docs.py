"""The documentation: its links lead somewhere, its experiments load, its Python runs, and its site builds."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stilts.experiment.benchmarks import read_benchmark
from stilts.experiment.load import load_experiment, load_tuning
from stilts.experiment.tasks import TaskFile

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
JOBS = ROOT / "ray_jobs"


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


YAML = [(page, block) for page in PAGES for block in _blocks(page, "yaml")]


@pytest.mark.parametrize(("page", "block"), YAML, ids=[f"{page.stem}-{i}" for i, (page, _) in enumerate(YAML)])
def test_the_experiments_load(page: Path, block: str, tmp_path: Path) -> None:
    """A whole experiment as it stands; part of one laid over the README's; a search; a file of tasks; a benchmark.

    Blocks that begin with `# NAME.yaml` are files that other blocks of the page may name.
    """
    fields = yaml.safe_load(block)
    file = tmp_path / "block.yaml"
    for other in _blocks(page, "yaml"):
        if named := re.match(r"# (\S+\.yaml)\n", other):
            (tmp_path / named[1]).write_text(other)
    if all(isinstance(value, dict) and {"family", "train_on"} & set(value) for value in fields.values()):
        assert set(TaskFile(file="block.yaml", text=block).declarations()) == set(fields)
        return
    if {"name", "targets"} <= set(fields) and "models" not in fields:
        file.write_text(block)
        assert read_benchmark(file).name == fields["name"]
        return
    file.write_text(block.replace("main_grid.yaml", str(JOBS / "main_grid.yaml")))
    if "search" in fields:
        assert load_tuning(file).search.trials
    elif "name" in fields:
        assert load_experiment(file, environment={}).name == fields["name"]
    else:
        first = tmp_path / "first.yaml"
        first.write_text(_blocks(ROOT / "README.md", "yaml")[0])
        assert set(fields) <= set(load_experiment(first, environment={}, patches=[file]).model_fields_set)


PYTHON = [page for page in PAGES if ">>>" in page.read_text()]


@pytest.mark.parametrize("page", PYTHON, ids=[page.stem for page in PYTHON])
def test_the_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `>>>` of a page, in order, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)[^)]*\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name != "reference"], ids=lambda page: page.stem
)
def test_files_that_are_named_exist(page: Path) -> None:
    """Paths of the repository in backquotes."""
    roots = ("stilts/", "tests/", "ray_jobs/", "benchmarks/", "docs/", ".ci/")
    paths = [path for path in re.findall(r"`([\w./-]+)`", page.read_text()) if path.startswith(roots)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


OWN_TASKS = ROOT / "docs" / "own-tasks.md"


def _walk(folder: Path, commands: list[str]) -> str:
    """Run commands of the page on own tasks in a folder with the files that its YAML blocks are."""
    for block in _blocks(OWN_TASKS, "yaml"):
        name = re.match(r"# (\S+\.yaml)\n", block)
        assert name is not None
        (folder / name[1]).write_text(block)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = "set -e\n" + "".join(commands)
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_user_declares_a_task_and_plans_it(tmp_path: Path) -> None:
    said = _walk(tmp_path, _blocks(OWN_TASKS, "bash")[:3])
    assert "topics: text_classification, accuracy, 2 labels: sport, travel" in said
    assert "first: 2 cells, 2 stages" in said


@pytest.mark.slow
def test_a_new_user_gets_tables_of_a_task_and_a_benchmark(tmp_path: Path) -> None:
    said = _walk(tmp_path, _blocks(OWN_TASKS, "bash"))
    assert "topics" in said
    assert "sentences" in said


def test_a_command_of_the_readme_that_fails_ends_ci() -> None:
    """`set -e` does not end a script where a command before `&&` fails, so each command has a line of its own."""
    assert [line for block in _blocks(ROOT / "README.md", "bash") for line in block.splitlines() if "&&" in line] == []


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "site" / "index.html").exists()
