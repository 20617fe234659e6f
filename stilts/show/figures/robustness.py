"""Figures of the score against the rate of noise: one panel per kind of noise or language, one line per regime."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from stilts.experiment.experiment import NONE
from stilts.results.analyse import Tables
from stilts.results.scores import MEAN
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import pick, slug
from stilts.show.figures.style import Mark, band, legend, marks, panels, short, styled

_BELOW = (
    "Mean over {of}, in percent; band: 95 % interval over seeds (Student's t). Horizontal axis: rate of the noise, "
    "from the clean data on. Hollow: of fewer seeds than planned."
)


@styled
def robustness(tables: Tables, split: str, model: str, target: str) -> Drawing | None:
    """Draw the mean over languages for each kind of noise; None if nothing was evaluated under noise."""
    rows = pick(tables, "robustness", split=split, model=model, target=target, language=MEAN)
    name, title = f"robustness-{slug(split, model, target)}", f"Under noise: {target}, {model}, {split}"
    return _draw(rows, "noise", 1.7, name, title, _BELOW.format(of="languages and seeds"))


@styled
def by_language(tables: Tables, split: str, model: str, target: str, kind: str) -> Drawing | None:
    """Draw each language under one kind of noise; None if nothing was evaluated under it."""
    rows = pick(tables, "robustness", split=split, model=model, target=target, noise=kind)
    rows = [row for row in rows if row["language"] != MEAN]
    name, title = f"robustness-{slug(split, model, target, kind)}", f"Under {kind}: {target}, {model}, {split}"
    return _draw(rows, "language", 1.2, name, title, _BELOW.format(of="seeds"))


def _draw(
    rows: Sequence[Mapping[str, Any]], panel_of: str, height: float, name: str, title: str, below: str
) -> Drawing | None:
    """Draw one panel for each value of the column `panel_of`."""
    rows = [row for row in rows if row["noisy"] is not None]
    if not rows:
        return None
    names = list(dict.fromkeys(row[panel_of] for row in rows))
    looks = marks(list(dict.fromkeys(row["intermediate"] for row in rows)), NONE)
    figure, axes = panels(len(names), height)
    for panel, of_panel in zip(axes, names, strict=True):
        _panel(panel, [row for row in rows if row[panel_of] == of_panel], looks)
        panel.set_title(short(of_panel))
    legend(figure, looks)
    return captioned(name, title, below, figure)


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], looks: Mapping[str, Mark]) -> None:
    for regime, look in looks.items():
        found = sorted((row for row in rows if row["intermediate"] == regime), key=lambda row: row["rate"])
        if not found:
            continue
        clean = [(0.0, *_numbers(row, "clean")) for row in found[:1] if row["clean"] is not None]
        points = [*clean, *((row["rate"], *_numbers(row, "noisy")) for row in found)]
        rates, scores, low, high = np.array(points, dtype=float).T
        fill = look.color if all(row["n"] == row["planned"] for row in found) else "none"
        axes.plot(rates, scores, color=look.color, marker=look.marker, linestyle=look.linestyle, markerfacecolor=fill)
        axes.fill_between(rates, low, high, color=look.color, alpha=band(looks), linewidth=0)
    axes.grid(axis="y")


def _numbers(row: Mapping[str, Any], score: str) -> tuple[float | None, ...]:
    return row[score], row[f"{score}_low"], row[f"{score}_high"]
