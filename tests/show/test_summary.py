"""The tables over seeds: text of the cells in every form, words for what is missing."""

import re

import pytest

from stilts.results.seed_statistics import SeedStatistics
from stilts.results.summary import summaries
from stilts.show.grid import latex, markdown
from stilts.show.summary import difference_text, score_text, summary_grids
from tests.show.conftest import markdown_cells


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


def test_latex_is_balanced_and_escaped(xtreme_grid):
    text = latex(summary_grids([summarise(xtreme_grid)]))
    assert r"squad\_100\%" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
    for rows in re.findall(r"\\begin{tabular}{(ll(r+))}(.*?)\\end{tabular}", text, flags=re.DOTALL):
        columns, body = len(rows[0]), rows[2]
        for line in body.strip().split("\n"):
            assert line in (r"\toprule", r"\midrule", r"\bottomrule") or line.count(" & ") == columns - 1
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
