"""`stilts submission`: XTREME's prediction folder, and what it lacks."""

from pathlib import Path

from tests.cli.conftest import Run


def test_a_folder_without_predictions_is_not_written(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    code, _, err = stilts("submission", experiment, "--out", tmp_path / "out")
    assert code == 1
    assert "xnli" in err
    assert not (tmp_path / "out").exists()


def test_an_unknown_regime_is_named(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    code, _, err = stilts("submission", experiment, "--out", tmp_path / "out", "--intermediate", "nonee")
    assert code == 1
    assert "nonee" in err
