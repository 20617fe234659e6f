"""Figure of learning curves: one panel per target, one line per regime for the mean over seeds, in a band of their
range.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stilts.experiment.experiment import NONE
from stilts.results.analyse import Tables
from stilts.results.learning.curves import DEV, LOSS
from stilts.results.learning.stages import TARGET
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import in_order, pick, slug
from stilts.show.figures.style import Mark, marks, panels, short, styled

_SERIES = {DEV: "Dev score in percent", LOSS: "Training loss in nats"}
_HEIGHT = 1.55
_POINTS = 40
"""Largest number of points of a line. Dev curves have fewer; loss curves have more and are averaged to fewer points."""
_TEXT = (
    "Line: mean over seeds, as far as all of them go; long ones by means of equally many steps. Band: from the least "
    "to the greatest seed. "
    "Horizontal axis: optimizer steps of the target's stage."
)


@styled
def curves(tables: Tables, model: str, series: str) -> Drawing | None:
    """Draw the curves of target stages; None if there are none.

    Args:
        series: `dev` or `loss`.
    """
    rows = pick(tables, "curves", model=model, role=TARGET, series=series)
    if not rows:
        return None
    targets = in_order(tables, (row["target"] for row in rows))
    looks = marks(list(dict.fromkeys(row["intermediate"] for row in rows)), NONE)
    figure, axes = panels(len(targets), _HEIGHT, same_rows=False)
    for panel, target in zip(axes, targets, strict=True):
        _panel(panel, [row for row in rows if row["target"] == target], looks)
        panel.set_title(short(target))
    legend(figure, looks)
    return captioned(f"{series}-{slug(model)}", f"{_SERIES[series]}: {model}", f"{_SERIES[series]}. {_TEXT}", figure)


def legend(figure: Figure, looks: Mapping[str, Mark]) -> None:
    """Add a legend of the regimes above the panels."""
    handles = [
        Line2D([], [], color=look.color, marker=look.marker, linestyle=look.linestyle, label=short(name))
        for name, look in looks.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=6 if figure.get_figwidth() > 4 else 3)


def band(looks: Mapping[str, Mark]) -> float:
    """Opacity of a regime's band. It is lower if there are many regimes, because their bands overlap."""
    return min(0.2, 0.8 / len(looks))


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], looks: Mapping[str, Mark]) -> None:
    for regime, look in looks.items():
        steps = over_seeds(row for row in rows if row["intermediate"] == regime)
        if not steps:
            continue
        values = list(steps.values())
        every = max(1, len(steps) // 6)
        axes.plot(
            list(steps),
            [fmean(found) for found in values],
            color=look.color,
            linestyle=look.linestyle,
            marker=look.marker,
            markevery=every,
            markersize=2.6,
        )
        low, high = [min(found) for found in values], [max(found) for found in values]
        axes.fill_between(list(steps), low, high, color=look.color, alpha=band(looks), linewidth=0)
    axes.grid(axis="y")


def over_seeds(rows: Iterable[Mapping[str, Any]]) -> dict[int, list[float]]:
    """Step -> the values of all stages at this step, for the steps that all stages have.

    If there are more than _POINTS steps, they are averaged over windows of equal width. A stage stands for a seed; a
    cell that trains one stage per language contributes all of them.
    """
    by_stage: dict[str, dict[int, float]] = {}
    for row in rows:
        by_stage.setdefault(row["stage"], {})[row["step"]] = row["value"]
    if not by_stage:
        return {}
    common = sorted(set.intersection(*(set(found) for found in by_stage.values())))
    width = -(-len(common) // _POINTS)
    buckets = (common[start : start + width] for start in range(0, len(common), width or 1))
    return {bucket[-1]: [fmean(found[step] for step in bucket) for found in by_stage.values()] for bucket in buckets}
