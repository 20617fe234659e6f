"""Draws and writes all figures of an experiment."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc

from stilts.results.analyse import Tables
from stilts.results.learning.curves import DEV, LOSS
from stilts.show.figures import bars, heatmap, learning, robustness, scatter, spreads, study
from stilts.show.figures.drawing import Drawing, save
from stilts.show.figures.rows import in_order

FOLDER = "figures"


def write_figures(folder: Path, tables: Tables) -> list[Path]:
    """Write `folder`/figures/NAME.png, .pdf and .svg of every figure that there is data for, each atomically.

    Raises:
        StiltsError: the folder cannot be written.
    """
    return [path for drawing in drawings(tables) for path in save(drawing, folder / FOLDER)]


def drawings(tables: Tables) -> Iterator[Drawing]:
    """Draw every figure, one at a time. For each model and split, figures of all targets come before those of one."""
    for model in _values(tables, "results", "model"):
        splits = sorted(_values(tables, "results", "split"), key=lambda split: (split != "test", split))
        for split in splits:
            yield from _of_split(tables, split, model)
        for series in (DEV, LOSS):
            yield from _there(learning.curves(tables, model, series))


def _of_split(tables: Tables, split: str, model: str) -> Iterator[Drawing]:
    for draw in (heatmap.transfer, study.study, spreads.spreads, study.variance, learning.selection):
        yield from _there(draw(tables, split, model))
    for regime in _values(tables, "similarity_points", "intermediate"):
        yield from _there(scatter.scatter(tables, split, model, regime))
    for target in in_order(tables, _values(tables, "languages", "target")):
        for one in (heatmap.languages, bars.scores, robustness.robustness):
            yield from _there(one(tables, split, model, target))
        for kind in _values(tables, "robustness", "noise"):
            yield from _there(robustness.by_language(tables, split, model, target, kind))


def _there(drawing: Drawing | None) -> Iterator[Drawing]:
    if drawing is not None:
        yield drawing


def _values(tables: Tables, name: str, column: str) -> list[str]:
    """The different values of a column in order of appearance; empty if there is no such table."""
    return pc.unique(tables[name][column]).to_pylist() if name in tables else []
