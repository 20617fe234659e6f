"""What a person is told of differences over test items."""

import io
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv
from rich.console import Console

from stilts.results.items.table import SCHEMA
from stilts.show.grid import markdown, show
from stilts.show.items import items_grids
from stilts.show.text import to_csv


def row(regime: str, language: str, difference: float | None, p: float | None = None, **more: Any) -> dict[str, Any]:
    found = {"low": difference - 1, "high": difference + 1} if difference is not None and p is not None else {}
    known = {"split": "test", "target": "xnli", "model": "base", "baseline": "none", "seeds": 5, "planned": 5}
    names = {"intermediate": regime, "language": language, "difference": difference, "p": p, "p_holm": p}
    return {**known, **names, **found, **more}


@pytest.fixture
def table() -> pa.Table:
    rows = [
        row("mnli", "de", 1.24, 0.01),
        row("mnli", "sw", 3.5, 0.001),
        row("mnli", "ur", -2.0, 0.04, seeds=3, note="not predicted: seed 4, 5"),
        row("mnli", "th", -0.01, 0.9),
        row("mnli", "zh", 0.0, note="no resample changes the difference"),
        row("mnli", "mean", 0.7, 0.02),
        row("squad|1", "de", None, seeds=0, note="not predicted"),
        row("squad|1", "sw", None, seeds=0, note="no gold"),
        row("squad|1", "mean", None, seeds=0, note="2 of 2 languages are lacking"),
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def test_markdown_lists_clear_gains_and_losses_and_counts_the_rest(table: pa.Table) -> None:
    text = markdown(items_grids(table))
    assert "## xnli test: languages against none, over test items" in text
    gains = r"2: sw +3.5 \[+2.5, +4.5], de +1.2 \[+0.2, +2.2]"
    assert rf"| base | mnli | 3/5 | **+0.7 \[-0.3, +1.7]** | {gains} | 1: ur -2.0 \[-3.0, -1.0] | 2 |" in text
    assert r"| base | squad\|1 | 0/5 |  |  |  | not predicted: 1; no gold: 1 |" in text


def test_csv_has_every_number_in_full(table: pa.Table) -> None:
    read = csv.read_csv(
        io.BytesIO(to_csv(table).encode()),
        convert_options=csv.ConvertOptions(column_types=SCHEMA, strings_can_be_null=True),
    )
    assert read.to_pylist() == table.to_pylist()


def test_the_terminal_shows_what_is_known(table: pa.Table) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    show(console, items_grids(table, brief=True))
    text = console.export_text()
    assert "2: sw +3.5, de +1.2" in text
    assert "1: ur -2.0" in text
    assert "Holm-adjusted p < 0.05" in text


def test_nothing_is_shown_where_nothing_is_compared(table: pa.Table) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    show(console, items_grids(table[6:], brief=True))
    assert console.export_text() == ""
    assert list(items_grids(SCHEMA.empty_table())) == []
