"""The choice of a checkpoint: equal numbers in every form, and how to get curves where there are none."""

import csv
import io

import pyarrow as pa
from rich.console import Console

from stilts.results.learning.selection import selection_table
from stilts.show.grid import latex, markdown, show
from stilts.show.learning import HOW_TO_GET_THEM, UPPER_BOUND, selection_grids
from stilts.show.text import escape_markdown, to_csv
from tests.results.learning.conftest import ZH, only, target_stage


def _printed(table: pa.Table) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(console, selection_grids(table, brief=True))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_views_have_the_numbers_of_the_table() -> None:
    table = selection_table(
        [target_stage(s, {("dev", "de"): [40.0, 45.0, 46.0 + s], ("dev", "zh"): ZH}) for s in (1, 2)]
    )
    over = only(table, None, "mean")
    cost = f"{over['cost']:+.1f} [{over['cost_low']:+.1f}, {over['cost_high']:+.1f}]"
    assert cost == "+1.2 [-1.9, +4.4]"
    assert cost in _printed(table)
    assert UPPER_BOUND in _printed(table).replace("\n", " ")
    assert "| base | none | mean | 2 | 20 of 30 | 43.0 |" in markdown(selection_grids(table))
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert len(rows) == table.num_rows
    assert float(next(r for r in rows if r["seed"] == "" and r["language"] == "mean")["cost"]) == over["cost"]
    assert latex(selection_grids(table)).count("\\toprule") == 1


def test_without_curves_the_files_say_how_to_get_them_and_the_terminal_is_quiet() -> None:
    table = selection_table([target_stage()])
    text = markdown(selection_grids(table))
    assert "| base | none | mean | 0 of 1: no language curves |" in text
    assert escape_markdown(HOW_TO_GET_THEM) in text
    assert _printed(table) == ""
