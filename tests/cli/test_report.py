"""report."""

from pathlib import Path

from tests.cli.conftest import Run


def test_a_report_of_what_has_not_run_says_so(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    code, out, err = stilts("report", experiment, "--out", tmp_path / "out" / "first.html")
    assert code == 0, err
    page = (tmp_path / "out" / "first.html").read_text()
    assert (code, err) == (0, "")
    assert "first.html" in out
    assert "Nothing was evaluated under noise" in page
    assert "no figures" in out
    assert f"stilts report {experiment}" in page
    assert stilts("report", experiment, "--baseline", "mnli")[0] == 1
