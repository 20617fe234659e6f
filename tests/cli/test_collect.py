"""collect."""

from pathlib import Path

from tests.cli.conftest import Run


def test_an_unknown_baseline_is_named_before_anything_is_written(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    code, _, err = stilts("collect", experiment, "--baseline", "nonee")
    assert code == 1
    assert "--baseline: the experiment has no regime 'nonee'; did you mean 'none'" in err
    assert not (tmp_path / "results").exists()
