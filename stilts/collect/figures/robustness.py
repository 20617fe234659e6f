"""Robustness: the score against the rate of noise, a panel for each kind, a line for each regime."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from stilts.collect.analyse import Tables
from stilts.collect.figures.curves import band, legend
from stilts.collect.figures.drawing import Drawing, captioned
from stilts.collect.figures.rows import pick, slug
from stilts.collect.figures.style import Mark, marks, panels, short, styled
from stilts.collect.scores import MEAN
from stilts.spec.experiment import NONE


@styled
def robustness(tables: Tables, split: str, model: str, target: str) -> Drawing | None:
    """The mean over languages, from the clean data at rate 0; None where nothing was evaluated under noise."""
    rows = pick(tables, "robustness", split=split, model=model, target=target, language=MEAN)
    rows = [row for row in rows if row["noisy"] is not None]
    if not rows:
        return None
    kinds = list(dict.fromkeys(row["noise"] for row in rows))
    looks = marks(list(dict.fromkeys(row["intermediate"] for row in rows)), NONE)
    figure, axes = panels(len(kinds), 1.7)
    for panel, kind in zip(axes, kinds, strict=True):
        _panel(panel, [row for row in rows if row["noise"] == kind], looks)
        panel.set_title(short(kind))
    legend(figure, looks)
    return captioned(
        f"robustness-{slug(split, model, target)}",
        f"Under noise: {target}, {model}, {split}",
        "Mean over languages and seeds, in percent; band: 95 % interval over seeds (Student's t). Horizontal axis: "
        "rate of the noise, from the clean data on. Hollow: of fewer seeds than planned.",
        figure,
    )


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
