"""Terminal, Markdown, CSV and LaTeX: equal numbers, words for what is not there, nothing cut off."""

import csv
import io
import os
import re
import shutil
import subprocess

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from stilts.results.best import SCHEMA as BEST
from stilts.results.seed_statistics import SUMMARY
from stilts.results.similarity.similarity import CORRELATIONS
from stilts.results.summary import summaries
from stilts.show.grid import markdown
from stilts.show.results import analysis_files, print_results, write_results
from stilts.show.summary import summary_grids
from stilts.show.text import interval, probability
from stilts.tasks.base import get_task
from tests.show.conftest import complete, markdown_cells


def summarise(grid):
    tables = grid.tables()
    return summaries(tables["results"], tables["summary"])[0]


def test_markdown_csv_and_parquet_agree(xtreme_grid, tmp_path):
    write_results(tmp_path, xtreme_grid.tables())
    text = (tmp_path / "table.md").read_text()
    cells, differences = markdown_cells(text), markdown_cells(text[text.index("Difference to none") :])
    lines = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    rows = pq.read_table(tmp_path / "summary.parquet").to_pylist()
    assert list(lines[0]) == SUMMARY.names
    assert len(lines) == len(rows) == len(cells) == 4 * 14
    for line, row in zip(lines, rows, strict=True):
        assert line == {name: "" if value is None else str(value) for name, value in row.items()}
        where = (row["model"], row["intermediate"]), row["column"]
        if row["mean"] is None:
            assert not re.search(r"\d\.\d", cells[where])
            continue
        assert cells[where].startswith(f"{row['mean']:.1f} ±" + ("-" if row["sd"] is None else f"{row['sd']:.1f}"))
        assert f"(n={row['n']})" in cells[where]
        assert row["low"] is None or f"[{row['low']:.1f}, {row['high']:.1f}]" in cells[where]
        if row["difference"] is not None:
            assert differences[where].startswith(f"{row['difference']:+.1f} ±")
            low, high = row["difference_low"], row["difference_high"]
            assert low is None or f"[{low:+.1f}, {high:+.1f}]" in differences[where]


@pytest.mark.parametrize(("width", "blocks"), [(100, 3), (130, 3), (160, 2), (250, 1)])
def test_the_terminal_cuts_nothing(xtreme_grid, width, blocks):
    console = Console(width=width, file=io.StringIO())
    print_results(console, xtreme_grid.tables())
    text = console.file.getvalue()
    assert max(map(len, text.split("\n"))) <= width
    assert "…" not in text
    summary = summarise(xtreme_grid)
    for column in summary.columns:
        assert re.search(rf"\b{column}\b", text)
    for entry in summary.statistics.values():
        assert entry.score is None or f"{entry.score.mean:.1f} ±" in text
    assert "failed bad: out of memory" in text
    scores, worth = text.split("Difference to none, paired by seed: 95 % interval")
    assert scores.count(" intermediate ") == blocks
    for entry in summary.statistics.values():
        ends = interval(entry.difference_low, entry.difference_high, "+")
        assert ends in worth
        assert entry.p_holm is None or probability(entry.p_holm) in worth


def test_names_with_markup_are_shown_as_they_are(grid):
    grid.add("[red]a|b*", "xnli", 1, {"en": "missing"}, status="failed", error="[bold]x | y")
    console = Console(width=100, file=io.StringIO())
    print_results(console, grid.tables())
    assert "[red]a|b*" in console.file.getvalue()
    assert "[bold]x | y" in console.file.getvalue()
    assert r"| \[red]a\|b\* | failed |" in markdown(summary_grids([summarise(grid)]))


def test_an_empty_table_is_rendered(grid, tmp_path):
    print_results(Console(file=io.StringIO()), grid.tables())
    assert "results.parquet" in [path.name for path in write_results(tmp_path, grid.tables())]


def test_latex_compiles(xtreme_grid, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex")
    xtreme_grid.add(r"a&b$c#d~e^f\g{h}<i>|j", "xnli", 0, {"en": {"accuracy": 50.0}})
    write_results(tmp_path, xtreme_grid.tables())
    document = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{table.tex}\end{document}"
    (tmp_path / "paper.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    log = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert log.returncode == 0, log.stdout.decode(errors="replace")[-2000:]
    assert b"Overfull \\hbox" not in log.stdout


def test_files_written(xtreme_grid, tmp_path):
    xtreme_grid.add("none", "bucc2018", 0, {"de": {"f1": 60.0}}, split="dev", stage="dev")
    written = write_results(tmp_path / "new" / "folder", xtreme_grid.tables())
    names = {path.name for path in written}
    assert {"results.parquet", "table.md", "table.csv", "table.tex"} <= names
    assert {f"languages-tatoeba.{kind}" for kind in ("md", "csv")} <= names
    parquets = {f"{name}.parquet" for name in xtreme_grid.tables()}
    assert parquets | {"study.csv", "variance.csv"} <= names
    assert len(names) == len(parquets) + 5 + 2 * 9
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == names
    text = (tmp_path / "new" / "folder" / "languages-bucc2018.md").read_text()
    assert text.index("## bucc2018 test: f1") < text.index("## bucc2018 dev: f1")


def test_a_crash_leaves_the_old_file(grid, tmp_path, monkeypatch):
    grid.add("none", "xnli", 1, {"en": {"accuracy": 60.0}})
    write_results(tmp_path, grid.tables())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def crash(source, target):
        raise KeyboardInterrupt

    grid.add("mnli", "xnli", 1, {"en": {"accuracy": 61.0}})
    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_results(tmp_path, grid.tables())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_every_analysis_with_rows_has_files(analyses):
    assert sorted(analysis_files(complete(analyses))) == sorted(
        f"{name}.{kind}" for name in ("best", "published", "similarity") for kind in ("csv", "md", "tex")
    )
    empty = {"best": BEST.empty_table(), "published": analyses["published"].slice(0, 0)}
    assert analysis_files(complete({**empty, "similarity": CORRELATIONS.empty_table()})) == {}


def test_latex_of_the_analyses_compiles(analyses, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex")
    inputs = ""
    for name, content in analysis_files(complete(analyses)).items():
        (tmp_path / name).write_bytes(content)
        inputs += rf"\input{{{name}}}\clearpage" if name.endswith(".tex") else ""
    document = rf"\documentclass{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}{inputs}\end{{document}}"
    (tmp_path / "paper.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    log = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert log.returncode == 0, log.stdout.decode(errors="replace")[-2000:]
    assert b"Overfull \\hbox" not in log.stdout


def test_languages_that_are_left_out_are_named_in_the_table_and_on_the_terminal(grid, tmp_path):
    languages = [language for language in get_task("xnli").languages if language not in ("sw", "ur")]
    grid.add("none", "xnli", 1, {language: {"accuracy": 50.0} for language in languages})
    tables = grid.tables()
    write_results(tmp_path, tables)
    console = Console(width=200, record=True, file=io.StringIO())
    print_results(console, tables)
    for text in ((tmp_path / "table.md").read_text(), console.export_text()):
        assert "Languages left out: xnli (sw ur)." in text
