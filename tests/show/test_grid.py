"""Grids in a terminal, as Markdown and as LaTeX."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from stilts.show.grid import Cell, Grid, latex, markdown, plain, show

GRID = Grid(
    title="scores",
    header=("model", "intermediate", "xnli", "mean"),
    rows=(
        ("base", "none", Cell(("61.0 ±0.5", "failed 1/2"), ("", "red")), "-1.5 [-2, 1]"),
        ("base", "mnli", Cell(("62.0",), markdown="62.0 (n=2)", latex="$62.0_{\\pm 1}$", strong=True), "-"),
    ),
    names=2,
    notes=("A note.",),
    legend=("A legend.",),
    terminal=("Only here.",),
)


def printed(*grids: Grid, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    show(console, grids)
    return console.export_text()


def test_a_cell_has_its_own_text_in_every_form() -> None:
    text = markdown([GRID])
    assert r"| base | none | 61.0 ±0.5; failed 1/2 | -1.5 \[-2, 1] |" in text
    assert "| base | mnli | **62.0 (n=2)** | - |" in text
    source = latex([GRID])
    assert r"base & none & 61.0 $\pm$0.5 {\scriptsize failed 1/2} & $-$1.5 [$-$2, 1] \\" in source
    assert r"base & mnli & $62.0_{\pm 1}$ & - \\" in source
    assert [plain(cell) for cell in GRID.rows[1]] == ["base", "mnli", "62.0 (n=2)", "-"]


def test_a_terminal_leaves_out_the_only_model_and_names_it_above() -> None:
    lines = printed(GRID).splitlines()
    assert lines[0] == "base; scores"
    assert "model" not in lines[2]
    two = replace(GRID, rows=(GRID.rows[0], ("large", *GRID.rows[1][1:])))
    assert printed(two).startswith("scores\n")
    assert " model " in printed(two)


@pytest.mark.parametrize(("width", "tables"), [(100, 1), (30, 2)])
def test_a_wide_table_is_cut_by_columns(width: int, tables: int) -> None:
    text = printed(GRID, width=width)
    assert text.count("intermediate") == tables
    assert max(map(len, text.splitlines())) <= width
    assert {"61.0 ±0.5", "failed 1/2", "-1.5 [-2, 1]"} <= {
        found for found in ("61.0 ±0.5", "failed 1/2", "-1.5 [-2, 1]") if found in text
    }


def test_a_legend_that_several_grids_share_is_printed_once() -> None:
    for text in (printed(GRID, GRID), markdown([GRID, GRID])):
        assert text.count("A legend.") == 1
        assert text.count("A note.") == 2
    assert printed(GRID, replace(GRID, legend=("Another.",))).count("A legend.") == 1


def test_only_a_terminal_shows_its_own_sentences() -> None:
    assert "Only here." in printed(GRID)
    assert "Only here." not in markdown([GRID]) + latex([GRID])


def test_latex_has_a_table_for_each_block_and_none_without_rows() -> None:
    source = latex([replace(GRID, blocks=(("xnli",), ("mean",), ()))])
    assert source.count(r"\begin{tabular}{llr}") == source.count(r"\end{tabular}") == 2
    assert r"\begin{table*}" not in latex([replace(GRID, rows=())])


def test_markup_and_special_characters_are_text() -> None:
    grid = Grid("a_b [red]&", ("name", "x|y"), (("[bold]%", "-1.5"),), 1, ("50 % of <b>",))
    assert {"a_b [red]&", "50 % of <b>"} <= set(printed(grid).splitlines())
    assert r"| \[bold]% | -1.5 |" in markdown([grid])
    assert r"[bold]\% & $-$1.5 \\" in latex([grid])
