"""Grids of results, tables of analyses, and how they are read from what is shown."""

import io
from zlib import crc32

import pytest
from rich.console import Console

from stilts.results.aggregate import languages_table, summary_table
from stilts.results.analyse import over_seeds
from stilts.results.best import best
from stilts.results.published import beside_published
from stilts.results.seed_statistics import Options
from stilts.results.similarity.distances import installed
from stilts.results.similarity.pretraining import Pretraining
from stilts.results.similarity.similarity import similarity
from stilts.show.results import print_analyses
from stilts.tasks.base import get_task
from tests.results.conftest import Grid as Results
from tests.results.conftest import grid, noisy_grid, of_a_store, xtreme_grid

__all__ = ["grid", "noisy_grid", "xtreme_grid"]

SIZES = {language: 10.0 + i for i, language in enumerate(get_task("panx").languages)}


@pytest.fixture
def analyses(grid):
    """Three regimes whose languages gain differently, on a target with dev scores and two without."""
    if not installed():
        pytest.skip("needs stilts[similarity]")
    for regime in ("none", "mnli", "squad_100%"):
        for seed in (1, 2):
            for target, metric in {"xnli": "accuracy", "tatoeba": "accuracy", "bucc2018": "f1"}.items():
                languages = get_task(target).languages
                scores = {lang: {metric: 50.0 + crc32(f"{regime}{seed}{lang}".encode()) % 9} for lang in languages}
                dev = 70.0 + len(regime) if target == "xnli" else None
                grid.add(regime, target, seed, scores, dev=dev, extra={"no": 0.0})
    for record in grid.evaluations.values():
        if "task" in record:
            record["examples"] = get_task(record["task"]).rows("test", record["language"])
    results = grid.table()
    languages = languages_table(results, summary_table(results, Options()), Options())
    chosen = best(results, grid.cells, grid.read_evaluation, "none")
    targets = set(results["target"].to_pylist())
    points, correlations = similarity(languages, targets, {"base": Pretraining("bert", SIZES, "GiB")})
    published = beside_published(results, chosen, "none")
    return {"best": chosen, "published": published, "similarity": correlations, "similarity_points": points}


def complete(tables):
    """These tables among all the tables of an experiment, the others empty."""
    return {**of_a_store(), **over_seeds(Results().table(), Options()), **tables}


def printed(tables, width):
    console = Console(width=width, record=True, file=io.StringIO())
    print_analyses(console, complete(tables))
    return console.export_text()


def cells(text, header):
    """Rows of the first Markdown table with this header's beginning, as lists of cells."""
    lines = text[text.index(f"| {header}") :].split("\n\n")[0].split("\n")
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def markdown_cells(text):
    """{(row, column): cell} of the first table of a Markdown text."""
    lines = text[text.index("| model") :].split("\n\n")[0].split("\n")
    header, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:]))
    return {((row[0], row[1]), column): cell for row in rows for column, cell in zip(header[2:], row[2:], strict=True)}
