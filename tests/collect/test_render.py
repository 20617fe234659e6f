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

from stilts.collect.aggregate import Entry, summarise
from stilts.collect.render import (
    CSV_COLUMNS,
    difference_text,
    latex,
    markdown,
    render_terminal,
    score_text,
    to_csv,
    write_results,
)
from stilts.collect.scores import Spread


@pytest.mark.parametrize(
    ("score", "planned", "lacking", "text"),
    [
        (Spread(71.25, 0.84, 2), 2, {}, "71.2 ±0.8 (n=2)"),
        (Spread(71.25, None, 1), 1, {}, "71.2 ±- (n=1)"),
        (Spread(71.25, None, 1), 2, {"failed": 1}, "71.2 ±- (n=1), failed 1/2"),
        (None, 2, {"failed": 1, "missing": 1}, "failed 1/2, missing 1/2"),
        (None, 2, {"missing": 2}, "missing"),
        (None, 1, {"unlabelled": 1}, "unlabelled"),
        (Spread(0.0, 0.0, 2), 2, {}, "0.0 ±0.0 (n=2)"),
    ],
)
def test_cell_text(score, planned, lacking, text):
    assert score_text(Entry(score, planned, lacking, None)) == text


def test_difference_text():
    assert difference_text(Entry(None, 1, {}, Spread(-1.26, 0.3, 2))) == "-1.3 ±0.3 (n=2)"
    assert difference_text(Entry(None, 1, {}, Spread(1.26, None, 1))) == "+1.3 ±- (n=1)"
    assert difference_text(Entry(None, 1, {}, None)) == ""


def markdown_cells(text):
    """{(row, column): cell} of the first table of a Markdown text."""
    lines = text[text.index("| model") :].split("\n\n")[0].split("\n")
    header, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:]))
    return {((row[0], row[1]), column): cell for row in rows for column, cell in zip(header[2:], row[2:], strict=True)}


def test_markdown_csv_and_parquet_agree(xtreme_grid, tmp_path):
    write_results(tmp_path, xtreme_grid.table())
    cells = markdown_cells((tmp_path / "table.md").read_text())
    lines = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert tuple(lines[0]) == CSV_COLUMNS
    assert len(lines) == len(cells) == 4 * 14
    summary = summarise(pq.read_table(tmp_path / "results.parquet"), "test")
    for line in lines:
        cell = cells[(line["model"], line["intermediate"]), line["column"]]
        entry = summary.entries[(line["model"], line["intermediate"]), line["column"]]
        if entry.score is None:
            assert (line["mean"], line["sd"], line["n"]) == ("", "", "0")
            assert not re.search(r"\d\.\d", cell)
            continue
        assert float(line["mean"]) == entry.score.mean
        assert line["sd"] == ("" if entry.score.sd is None else str(entry.score.sd))
        sd = f"{float(line['sd']):.1f}" if line["sd"] else "-"
        assert cell.startswith(f"{float(line['mean']):.1f} ±{sd} (n={line['n']})")


def test_what_is_lacking_is_said(xtreme_grid):
    summary = summarise(xtreme_grid.table(), "test")
    cells = markdown_cells(markdown(summary))
    assert cells[("base", "mnli"), "panx"] == "56.6 ±- (n=1), failed 1/2"
    assert cells[("base", "squad_100%"), "udpos"] == "unlabelled"
    assert cells[("base", "squad_100%"), "xtreme"] == "unlabelled"
    assert "failed 1/2" in cells[("base", "mnli"), "xtreme"]
    statuses = {(r["intermediate"], r["column"]): r["status"] for r in csv.DictReader(io.StringIO(to_csv([summary])))}
    assert statuses["mnli", "tagging"] == "failed 1"
    assert statuses["none", "tagging"] == "ok"


def test_unplanned_is_blank_and_no_baseline_is_no_comparison(grid):
    grid.add("mnli", "xnli", 1, {"en": {"accuracy": 60.0}})
    grid.add("squad", "pawsx", 1, {"en": {"accuracy": 60.0}})
    text = markdown(summarise(grid.table(), "test"))
    assert markdown_cells(text)[("base", "mnli"), "pawsx"] == ""
    assert "Difference" not in text
    assert "xnli 1 of 15 languages" in text


@pytest.mark.parametrize(("width", "blocks"), [(100, 3), (130, 3), (160, 2), (250, 1)])
def test_the_terminal_cuts_nothing(xtreme_grid, width, blocks):
    console = Console(width=width, file=io.StringIO())
    render_terminal(console, xtreme_grid.table())
    text = console.file.getvalue()
    assert max(map(len, text.split("\n"))) <= width
    assert "…" not in text
    summary = summarise(xtreme_grid.table(), "test")
    for column in summary.columns:
        assert re.search(rf"\b{column}\b", text)
    for entry in summary.entries.values():
        assert entry.score is None or f"{entry.score.mean:.1f} ±" in text
    assert "failed bad: out of memory" in text
    assert text.count("intermediate") - text.count("no intermediate") == blocks


def test_names_with_markup_are_shown_as_they_are(grid):
    grid.add("[red]a|b*", "xnli", 1, {"en": "missing"}, status="failed", error="[bold]x | y")
    console = Console(width=100, file=io.StringIO())
    render_terminal(console, grid.table())
    assert "[red]a|b*" in console.file.getvalue()
    assert "[bold]x | y" in console.file.getvalue()
    assert r"| \[red]a\|b\* | failed |" in markdown(summarise(grid.table(), "test"))


def test_an_empty_table_is_rendered(grid, tmp_path):
    render_terminal(Console(file=io.StringIO()), grid.table())
    assert "results.parquet" in [path.name for path in write_results(tmp_path, grid.table())]


def test_latex_is_balanced_and_escaped(xtreme_grid):
    text = latex(summarise(xtreme_grid.table(), "test"))
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
    write_results(tmp_path, xtreme_grid.table())
    document = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{table.tex}\end{document}"
    (tmp_path / "paper.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    log = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert log.returncode == 0, log.stdout.decode(errors="replace")[-2000:]
    assert b"Overfull \\hbox" not in log.stdout


def test_files_written(xtreme_grid, tmp_path):
    xtreme_grid.add("none", "bucc2018", 0, {"de": {"f1": 60.0}}, split="dev", stage="dev")
    written = write_results(tmp_path / "new" / "folder", xtreme_grid.table())
    names = {path.name for path in written}
    assert {"results.parquet", "table.md", "table.csv", "table.tex"} <= names
    assert {f"languages-tatoeba.{kind}" for kind in ("md", "csv")} <= names
    assert len(names) == 4 + 2 * 9
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == names
    text = (tmp_path / "new" / "folder" / "languages-bucc2018.md").read_text()
    assert text.index("## bucc2018 test: f1") < text.index("## bucc2018 dev: f1")


def test_a_crash_leaves_the_old_file(grid, tmp_path, monkeypatch):
    grid.add("none", "xnli", 1, {"en": {"accuracy": 60.0}})
    write_results(tmp_path, grid.table())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def crash(source, target):
        raise KeyboardInterrupt

    grid.add("mnli", "xnli", 1, {"en": {"accuracy": 61.0}})
    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_results(tmp_path, grid.table())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
