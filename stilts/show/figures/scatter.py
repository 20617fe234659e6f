"""Figure of gain against distance to English: one point per language, one panel per kind of distance."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from stilts.results.analyse import Tables
from stilts.results.similarity.similarity import ALL
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.labels import places
from stilts.show.figures.rows import pick, slug
from stilts.show.figures.style import FAINT, GAIN, INK, LOSS, panels, short, styled

_DISTANCE = "distance_"
_FEWEST = 3
"""Smallest number of languages for which a panel is drawn."""
_TYPE = 5.0
"""Font size of the labels, in points."""
_SIZE = np.array([130.0, 100.0])
"""Approximate width and height of a panel, in points."""


@styled
def scatter(tables: Tables, split: str, model: str, intermediate: str, target: str = ALL) -> Drawing | None:
    """Draw the gains of one regime by language; None if fewer than three languages have a distance."""
    where = {"split": split, "model": model, "intermediate": intermediate, "target": target}
    points = pick(tables, "similarity_points", **where)
    features = [name.removeprefix(_DISTANCE) for name in (points[0] if points else ()) if name.startswith(_DISTANCE)]
    shown = {feature: [p for p in points if p[_DISTANCE + feature] is not None] for feature in features}
    shown = {feature: found for feature, found in shown.items() if len(found) >= _FEWEST}
    if not shown:
        return None
    figure, axes = panels(len(shown), 1.75)
    for panel, (feature, found) in zip(axes, shown.items(), strict=True):
        _panel(panel, found, feature)
        panel.set_title(feature)
        for row in pick(tables, "similarity", feature=feature, **where):
            panel.set_title(_correlation(row), loc="right", fontsize=6.5)
    figure.supylabel(f"gain of {short(intermediate)} over {short(points[0]['baseline'])}", fontsize=7.5)
    return captioned(
        f"similarity-{slug(split, model, intermediate, target)}",
        f"Gain and distance to English: {intermediate}, {_name(target)}, {model}, {split}",
        "A point is a language: its gain in points, mean over seeds, against its distance to English. Line: least "
        "squares. r: Pearson's, with its 95 % interval.",
        figure,
    )


def _name(target: str) -> str:
    return "all targets" if target == ALL else target


def _correlation(row: Mapping[str, Any]) -> str:
    if row["pearson"] is None:
        return ""
    interval = "" if row["pearson_low"] is None else f" [{row['pearson_low']:.2f}, {row['pearson_high']:.2f}]"
    return f"r = {row['pearson']:.2f}{interval}".replace("-", "−")


def _panel(axes: Axes, points: Sequence[Mapping[str, Any]], feature: str) -> None:
    x = np.array([point[_DISTANCE + feature] for point in points])
    y = np.array([point["gain"] for point in points])
    axes.axhline(0, color=INK, alpha=FAINT, linewidth=0.6)
    axes.plot(x, y, "o", color=GAIN, markersize=2.4, alpha=0.8, markeredgewidth=0)
    if np.ptp(x) > 0:
        slope, start = np.polyfit(x, y, 1)
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, start + slope * ends, color=LOSS, linewidth=1)
    axes.margins(0.06, 0.08)
    _name_points(axes, np.column_stack([x, y]), [point["language"] for point in points])


def _name_points(axes: Axes, points: npt.NDArray[np.float64], names: Sequence[str]) -> None:
    """Label the points. The panels' size is not known before the layout; it is taken to be _SIZE."""
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    for point, name, (right, up, ha, va) in zip(
        points, names, places((points - low) / (high - low) * _SIZE, names, _TYPE), strict=True
    ):
        axes.annotate(name, tuple(point), (right, up), textcoords="offset points", ha=ha, va=va, fontsize=_TYPE)
