"""Figure of gain against distance to English: one point per language, one panel per kind of distance."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from stilts.results.analyse import Tables
from stilts.results.similarity.similarity import ALL
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import pick, slug
from stilts.show.figures.style import FAINT, GAIN, INK, LOSS, panels, short, styled

_DISTANCE = "distance_"
_FEWEST = 3
"""Smallest number of languages for which a panel is drawn."""
_TYPE = 5.0
"""Font size of the labels, in points."""
_SIZE = np.array([130.0, 100.0])
"""Approximate width and height of a panel, in points."""

_AWAY = 2.2
"""Distance between a dot and its label, in points."""

Place = tuple[float, float, str, str]
"""(offset to the right, offset upwards, ha, va): offsets in points, and matplotlib's alignment of the text."""

_PLACES: tuple[Place, ...] = (
    (_AWAY, 0, "left", "center"),
    (-_AWAY, 0, "right", "center"),
    (0, _AWAY, "center", "bottom"),
    (0, -_AWAY, "center", "top"),
    (_AWAY, _AWAY, "left", "bottom"),
    (-_AWAY, _AWAY, "right", "bottom"),
    (_AWAY, -_AWAY, "left", "top"),
    (-_AWAY, -_AWAY, "right", "top"),
)

_Box = tuple[float, float, float, float]


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


def places(points: npt.NDArray[np.float64], names: Sequence[str], size: float) -> list[Place]:
    """Choose a place for every label, one after the other: the one that overlaps least with dots and earlier labels.

    Args:
        points: positions of the dots of shape [n, 2], in points (1/72 inch).
        size: font size in points. Letters are taken to be half as wide.
    """
    taken: list[_Box] = [(x - 1, y - 1, x + 1, y + 1) for x, y in points]
    found = []
    for (x, y), name in zip(points, names, strict=True):
        options = [(place, _box(x, y, place, name, size)) for place in _PLACES]
        place, box = min(options, key=lambda option: sum(_meeting(option[1], taken)))
        taken.append(box)
        found.append(place)
    return found


def _box(x: float, y: float, place: Place, name: str, size: float) -> _Box:
    right, up, ha, va = place
    width = 0.5 * size * len(name)
    left = x + right - {"left": 0.0, "center": width / 2, "right": width}[ha]
    below = y + up - {"bottom": 0.0, "center": size / 2, "top": size}[va]
    return left, below, left + width, below + size


def _meeting(box: _Box, taken: Sequence[_Box]) -> Iterator[float]:
    """The area of each overlap with another box."""
    for other in taken:
        width = min(box[2], other[2]) - max(box[0], other[0])
        height = min(box[3], other[3]) - max(box[1], other[1])
        if width > 0 and height > 0:
            yield width * height
