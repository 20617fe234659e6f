"""`stilts score`: a prediction folder, scored as XTREME's evaluate.py does."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

LABELS = "entailment\ncontradiction\nneutral\nneutral\n"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """(predictions, labels) of two languages of XNLI; three of four predictions are right."""
    for folder, text in (("predictions", LABELS.replace("contradiction", "neutral")), ("labels", LABELS)):
        for language in ("en", "de"):
            path = tmp_path / folder / "xnli" / f"test-{language}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return tmp_path / "predictions", tmp_path / "labels"


def test_part_of_the_languages_has_scores_and_no_average(stilts: Run, folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    code, out, _ = stilts("score", "--predictions", predictions, "--labels", labels, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["xnli"]["languages"] == {"de": {"accuracy": 75.0}, "en": {"accuracy": 75.0}}
    assert (found["complete"], found["partial"]) == (False, {"xnli": "2 of 15 languages"})
    assert "all_task" not in found


def test_a_bad_file_is_named_and_the_others_are_scored(stilts: Run, folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    (predictions / "xnli" / "test-de.tsv").write_text("entailment\n")
    code, out, err = stilts("score", "--predictions", predictions, "--labels", labels)
    assert code == 1
    assert "test-de.tsv" in err
    assert "75.0" in out
