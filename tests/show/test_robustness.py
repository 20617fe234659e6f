"""Scores under noise: equal numbers in every form, and the languages that noise hardly changes."""

import csv
import io
import re

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from stilts.results.robustness import robustness_table
from stilts.show.results import print_results, write_results
from stilts.show.robustness import robustness_grids
from tests.results.conftest import SWAP, acc


def test_languages_that_a_kind_hardly_changes_are_named(noisy_grid):
    grids = robustness_grids(noisy_grid.table(), robustness_table(noisy_grid.table(), "none"))
    assert [note for grid in grids for note in grid.notes] == ["Hardly changed by casing: zh."]
    rows = robustness_table(noisy_grid.table(), "none").to_pylist()
    changed = {row["language"]: row["changed_share"] for row in rows if row["noise"] == "casing"}
    assert changed["mean"] == pytest.approx(0.051)
    assert changed["zh"] == 0.002


def test_clean_results_alone_have_no_table_of_noise(grid, tmp_path):
    grid.add("none", "xnli", 1, acc(80, 60))
    files = [path.name for path in write_results(tmp_path, grid.tables())]
    assert [name for name in files if "robustness" in name] == ["robustness.parquet"]
    console = Console(file=io.StringIO())
    print_results(console, grid.tables())
    assert "Noise" not in console.file.getvalue()


def test_the_files_agree(noisy_grid, tmp_path):
    write_results(tmp_path, noisy_grid.tables())
    records = pq.read_table(tmp_path / "robustness.parquet").to_pylist()
    lines = list(csv.DictReader(io.StringIO((tmp_path / "robustness.csv").read_text())))
    assert len(records) == len(lines) == 2 * 2 * 3
    for record, line in zip(records, lines, strict=True):
        assert {name: "" if value is None else str(value) for name, value in record.items()} == line
    none = next(r for r in records if (r["intermediate"], r["noise"], r["language"]) == ("none", "swap", "mean"))
    assert (none["clean"], none["noisy"], none["loss"], none["n"], none["rate"]) == (71.0, 65.5, 5.5, 2, 0.1)
    assert (none["target"], none["split"], none["changed_share"]) == ("xnli", "test", 0.05)
    text = (tmp_path / "robustness.md").read_text()
    assert "| base | none | 0.1 | 71.0 ±1.4 | 65.5 ±0.7; -5.5 ±0.7; -7.7% |  |" in text
    assert "| base | changed | 0.2 |  |  | 10.0% |" not in text
    assert "points lost more than with the intermediate none, paired by seed" in text
    assert r"| base | mnli | 0.1 | -1.5 \[-7.9, +4.9] |  |" in text
    assert "| base | changed | 0.1 |  | 5.0% |  |" in text
    assert "Hardly changed by casing: zh." in text
    tex = (tmp_path / "robustness.tex").read_text()
    assert r"65.5 $\pm$0.7 {\scriptsize $-$5.5 $\pm$0.7} {\scriptsize $-$7.7\%}" in tex
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 2
    for columns, body in re.findall(r"\\begin{tabular}{(llr+)}(.*?)\\end{tabular}", tex, flags=re.DOTALL):
        assert {line.count(" & ") for line in body.split("\n") if line.endswith(r"\\")} == {len(columns) - 1}


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_cuts_nothing(noisy_grid, width):
    console = Console(width=width, file=io.StringIO())
    print_results(console, noisy_grid.tables())
    text = console.file.getvalue()
    assert max(map(len, text.split("\n"))) <= width
    assert "…" not in text
    for number in ("71.0 ±1.4", "65.5 ±0.7", "-5.5 ±0.7", "-7.7%", "5.0%", "swap", "casing"):
        assert number in text


def test_what_is_missing_is_said(noisy_grid):
    noisy_grid.add("squad", "xnli", 1, acc(80, 60), noise={SWAP: {"en": "missing", "zh": "missing"}})
    console = Console(width=120, file=io.StringIO())
    print_results(console, noisy_grid.tables())
    assert "missing" in console.file.getvalue()
