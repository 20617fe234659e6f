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

from stilts.results.seed_statistics import SUMMARY, SeedStatistics
from stilts.results.summary import summaries
from stilts.show.grid import latex, markdown
from stilts.show.results import print_results, write_results
from stilts.show.summary import difference_text, score_text, summary_grids
from stilts.show.text import interval, probability


def summarise(grid):
    tables = grid.tables()
    return summaries(tables["results"], tables["summary"])[0]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (SeedStatistics(2, 2, mean=71.25, sd=0.84, low=63.7, high=78.8), "71.2 ±0.8 [63.7, 78.8] (n=2)"),
        (SeedStatistics(1, 1, mean=71.25), "71.2 ±- (n=1)"),
        (SeedStatistics(2, 1, failed=1, mean=71.25), "71.2 ±- (n=1), failed 1/2"),
        (SeedStatistics(2, 0, failed=1, not_run=1), "failed 1/2, not run 1/2"),
        (SeedStatistics(2, 0, missing=2), "missing"),
        (SeedStatistics(1, 0, unlabelled=1), "unlabelled"),
        (SeedStatistics(2, 2, mean=0.0, sd=0.0), "0.0 ±0.0 (n=2)"),
    ],
)
def test_cell_text(entry, text):
    assert score_text(entry) == text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"difference_n": 1, "difference": 1.26, "underpowered": True}, "+1.3 ±- † (n=1)"),
        (
            {
                "difference_n": 5, "difference": -1.26, "difference_sd": 0.3, "difference_low": -1.6,
                "difference_high": -0.9, "p": 0.0007, "p_holm": 0.0354, "underpowered": False, "seeds_needed": 3,
            },
            "-1.3 ±0.3 [-1.6, -0.9] p=0.035* (n=5)",
        ),
        (
            {
                "difference_n": 5, "difference": 1.0, "difference_sd": 2.0, "difference_low": -1.5,
                "difference_high": 3.5, "p": 0.33, "p_holm": 1.0, "underpowered": True, "seeds_needed": 34,
            },
            "+1.0 ±2.0 [-1.5, +3.5] p=1.00 †34 (n=5)",
        ),
        ({"difference_n": 0, "underpowered": True}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_difference_text(numbers, text):
    assert difference_text(SeedStatistics(5, 5, **numbers)) == text


def markdown_cells(text):
    """{(row, column): cell} of the first table of a Markdown text."""
    lines = text[text.index("| model") :].split("\n\n")[0].split("\n")
    header, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:]))
    return {((row[0], row[1]), column): cell for row in rows for column, cell in zip(header[2:], row[2:], strict=True)}


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


def test_what_is_lacking_is_said(xtreme_grid):
    cells = markdown_cells(markdown(summary_grids([summarise(xtreme_grid)])))
    assert cells[("base", "mnli"), "panx"] == "56.6 ±- (n=1), failed 1/2"
    assert cells[("base", "squad_100%"), "udpos"] == "unlabelled"
    assert cells[("base", "squad_100%"), "xtreme"] == "unlabelled"
    assert "failed 1/2" in cells[("base", "mnli"), "xtreme"]
    rows = {(row["intermediate"], row["column"]): row for row in xtreme_grid.tables()["summary"].to_pylist()}
    assert [rows["mnli", "tagging"][name] for name in ("planned", "n", "failed", "missing")] == [2, 1, 1, 0]
    assert [rows["none", "tagging"][name] for name in ("planned", "n", "failed", "missing")] == [2, 2, 0, 0]


def test_unplanned_is_blank_and_no_baseline_is_no_comparison(grid):
    grid.add("mnli", "xnli", 1, {"en": {"accuracy": 60.0}})
    grid.add("squad", "pawsx", 1, {"en": {"accuracy": 60.0}})
    text = markdown(summary_grids([summarise(grid)]))
    assert markdown_cells(text)[("base", "mnli"), "pawsx"] == ""
    assert "Difference" not in text
    assert "xnli 1 of 15 languages" in text


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


def test_latex_is_balanced_and_escaped(xtreme_grid):
    text = latex(summary_grids([summarise(xtreme_grid)]))
    assert r"squad\_100\%" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
    for rows in re.findall(r"\\begin{tabular}{(ll(r+))}(.*?)\\end{tabular}", text, flags=re.DOTALL):
        columns, body = len(rows[0]), rows[2]
        for line in body.strip().split("\n"):
            assert line in (r"\toprule", r"\midrule", r"\bottomrule") or line.count(" & ") == columns - 1
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


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
