"""Figures of learning curves, and of what the choice of a checkpoint by English dev costs.

`curves` draws one panel per target and one line per regime for the mean over seeds, in a band of their range.
`selection` compares the checkpoint that has the best English dev score with the last one and with an oracle's.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from stilts.experiment.experiment import NONE
from stilts.results.analyse import Tables
from stilts.results.learning.curves import DEV
from stilts.results.learning.curves import LOSS as TRAINING_LOSS
from stilts.results.learning.stages import TARGET
from stilts.results.scores import MEAN
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import in_order, pick, slug
from stilts.show.figures.style import (
    FAINT,
    GAIN,
    INK,
    LOSS,
    Mark,
    band,
    label_rows,
    legend,
    marks,
    panels,
    short,
    styled,
)

_SERIES = {DEV: "Dev score in percent", TRAINING_LOSS: "Training loss in nats"}
_HEIGHT = 1.55
_POINTS = 40
"""Largest number of points of a line. Dev curves have fewer; loss curves have more and are averaged to fewer points."""
_TEXT = (
    "Line: mean over seeds, as far as all of them go; long ones by means of equally many steps. Band: from the least "
    "to the greatest seed. "
    "Horizontal axis: optimizer steps of the target's stage."
)

_CHOICES = {
    "last": ("last", INK, "|"),
    "best_dev": ("by English dev", GAIN, "o"),
    "oracle": ("oracle", LOSS, ">"),
}
"""Column -> (label, colour, marker)."""


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
        _curves_panel(panel, [row for row in rows if row["target"] == target], looks)
        panel.set_title(short(target))
    legend(figure, looks)
    return captioned(f"{series}-{slug(model)}", f"{_SERIES[series]}: {model}", f"{_SERIES[series]}. {_TEXT}", figure)


def _curves_panel(axes: Axes, rows: Sequence[Mapping[str, Any]], looks: Mapping[str, Mark]) -> None:
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


@styled
def selection(tables: Tables, split: str, model: str) -> Drawing | None:
    """One panel per target, one row per regime: the mean over languages at three checkpoints. None without scores."""
    rows = pick(tables, "selection", model=model, split=split, language=MEAN, seed=None)
    rows = [row for row in rows if row["best_dev"] is not None]
    if not rows:
        return None
    targets = in_order(tables, (row["target"] for row in rows))
    regimes = list(dict.fromkeys(row["intermediate"] for row in rows))
    figure, axes = panels(len(targets), 0.17 * len(regimes) + 0.42)
    for panel, target in zip(axes, targets, strict=True):
        _selection_panel(panel, regimes, {row["intermediate"]: row for row in rows if row["target"] == target})
        panel.set_title(short(target))
    handles = [Line2D([], [], color=c, marker=m, linestyle="", label=text) for text, c, m in _CHOICES.values()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    chosen_on = " or ".join(sorted({row["chosen_on"] for row in rows if row["chosen_on"] is not None}))
    return captioned(
        f"selection-{slug(split, model)}",
        f"What the choice of a checkpoint costs: {model}, {split}",
        f"Means over seeds and languages on {split} at the last checkpoint, at the best on English dev, and (oracle) "
        f"at the best for each language on its own {chosen_on or split}.",
        figure,
    )


def _selection_panel(axes: Axes, regimes: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> None:
    for y, regime in enumerate(regimes):
        row = rows.get(regime)
        if row is None:
            continue
        found = {name: row[name] for name in _CHOICES if row[name] is not None}
        axes.plot([min(found.values()), max(found.values())], [y, y], color=INK, alpha=FAINT, linewidth=0.8)
        for name, value in found.items():
            _, color, marker = _CHOICES[name]
            axes.plot([value], [y], marker, color=color, markersize=6 if marker == "|" else 3.5, markeredgewidth=0.9)
    label_rows(axes, regimes)
