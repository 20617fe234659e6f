"""The study's numbers and the parts of the variance in every form: equal to the tables, nothing cut off."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from stilts.results.table import build_table
from stilts.results.variance import variance_table
from stilts.show.grid import NEEDS, latex, markdown, plain, show
from stilts.show.study import study_grids
from stilts.tasks.benchmarks import XTREME


@pytest.fixture
def crossed(grid):
    """Two regimes x three intermediate seeds x three target seeds, and a baseline, on two targets."""
    random = np.random.default_rng(8)
    for target in ("xnli", "pawsx"):
        for second in range(3):
            languages = XTREME.languages[target]
            value = 50 + random.normal()
            grid.add("none", target, second, {code: {"accuracy": value} for code in languages})
            for regime in ("mnli", "squad_100%"):
                for first in range(3):
                    value = 52 + first + random.normal()
                    scores = {code: {"accuracy": value} for code in languages}
                    cell = grid.add(regime, target, second, scores, stage=f"{regime}-{target}-{first}-{second}")
                    grid.cells[-1] = replace(cell, intermediate_seed=first)
    return grid


def grids(found):
    tables = found.tables()
    return list(study_grids(tables["study"], tables["variance"], "xtreme")), tables


def test_the_forms_show_the_tables_numbers(crossed):
    (study, variance), tables = grids(crossed)
    for row in tables["study"].to_pylist():
        ends = f"[{row['iqm_low']:.1f}, {row['iqm_high']:.1f}]"
        line = next(line for line in study.rows if line[1] == row["intermediate"])
        assert [plain(cell) for cell in line[2:6]] == ["2", "3/3", "-", f"{row['iqm']:.1f} {ends}"]
        if row["intermediate"] != "none":
            assert plain(line[6]).startswith(f"{row['improvement']:.1f}% [")
    rows = [row for row in tables["variance"].to_pylist() if row["intermediate"] != "none"]
    assert len(variance.rows) == len(rows) == 2 * 3
    for line, row in zip(variance.rows, rows, strict=True):
        assert list(line[1:5]) == [row["intermediate"], row["column"], "3x3", f"{row['total_sd']:.1f}"]
        assert plain(line[5]).startswith(f"{row['intermediate_share']:.0f}% [{row['intermediate_share_low']:.0f}, ")
    for grid in (study, variance):
        for text in (markdown([grid]), latex([grid])):
            assert all(plain(cell).split(" [")[0].rstrip("%") in text for line in grid.rows for cell in line[3:])
    assert r"squad\_100\%" in latex([variance])
    assert not re.search(r"[^\\{]%", latex([study]).removeprefix(NEEDS))


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_shows_every_number(crossed, width):
    found, _ = grids(crossed)
    for grid in found:
        console = Console(width=width, file=io.StringIO())
        show(console, [grid])
        text = console.file.getvalue()
        assert max(map(len, text.split("\n"))) <= width
        assert "…" not in text
        for line in grid.rows:
            assert all(word in text for cell in line[1:] for word in plain(cell).split())


def test_seeds_that_are_not_crossed_and_a_single_task_have_nothing_to_show(grid):
    for seed in (1, 2, 3):
        grid.add("none", "xnli", seed, {"en": {"accuracy": 50.0 + seed}})
    assert grids(grid)[0] == []


def test_parts_of_the_seed_are_shown_where_they_are_told_apart_or_fixed(grid):
    for seed, value in enumerate([61.0, 63.0, 64.0, 66.0, 67.0, 69.0], 1):
        grid.add("none", "xnli", seed, {"en": {"accuracy": value}})
    together = {seed: {"order": seed, "head": 1, "dropout": 1, "data": 1} for seed in range(1, 7)}
    apart = {seed: {**parts, "order": (seed + 1) // 2, "head": seed} for seed, parts in together.items()}
    shown = []
    for parts in (apart, together):
        results = build_table("study", grid.cells, grid.statuses, grid.read_evaluation, seed_parts=parts)
        found = list(study_grids(grid.tables()["study"], variance_table(results), "xtreme"))
        assert len(found) == 1
        shown.append((found[0].header[-3:], [plain(cell) for cell in found[0].rows[0][3:]]))
    (header, row), (_, spread) = shown
    assert header == ("SD", "order", "residual")
    assert row[:2] == ["6/6", "3.2"]
    assert row[2].startswith("80% [")
    assert spread == ["order", "6/6", "2.9 [1.8, 7.1]"]
