"""Scores of a folder on a terminal: what is partial says so."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from stilts.cli import app
from stilts.errors import Problems
from stilts.evaluate.score import score_folder
from stilts.show.score import show_scores


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is used as predictions and as labels: two tasks, one of them in one language only."""
    for language in ("de", "en", "es", "fr", "ja", "ko", "zh"):
        _write(tmp_path / "pawsx" / f"test-{language}.tsv", "0\n1\n")
    _write(tmp_path / "xnli/test-de.tsv", "neutral\nentailment\n")
    return tmp_path


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(content)


def test_what_is_partial_is_named(folder: Path) -> None:
    console = Console(width=100, file=io.StringIO())
    show_scores(score_folder(folder, folder), console)
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    assert [line.split() for line in lines if line.startswith(("average", "mean"))] == [
        ["average", "100.00", "100.00"],
        ["mean", "of", "1", "of", "15", "languages", "100.00", "100.00"],
    ]
    assert not any(line.startswith(("classification", "all_task")) for line in lines)
    assert lines[-3].startswith("PARTIAL: averages over tasks are left out")
    assert lines[-2] == "xnli: 1 of 15 languages"
    assert lines[-1].startswith("not scored: panx, udpos")


def test_the_exit_status_says_that_a_file_is_not_scored(folder: Path) -> None:
    command = ["score", "--predictions", str(folder), "--labels", str(folder), "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["complete"] is False
    _write(folder / "xnli/test-fr.tsv", "maybe\n")
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, Problems)  # which `main` prints, with status 1
    found = json.loads(done.stdout)
    assert (found["pawsx"]["avg_metric"], found["xnli"]["avg_metric"]) == (100.0, 100.0)
    assert "maybe" in found["problems"][0]
