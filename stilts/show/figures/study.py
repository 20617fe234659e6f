"""Figures of the tables `study` and `variance`.

`study` draws the benchmark average, the interquartile mean and the probability of improvement of each regime, and
`variance` the components of the variance over seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from stilts.results.analyse import Tables
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import baseline_of, pick, slug
from stilts.show.figures.style import (
    FAINT,
    GAIN,
    INK,
    LOSS,
    PAGE,
    label_rows,
    new_figure,
    panels,
    plain,
    short,
    styled,
)

_PANELS = {
    "mean": ("mean", "low", "high"),
    "interquartile mean": ("iqm", "iqm_low", "iqm_high"),
    "probability of improvement": ("improvement", "improvement_low", "improvement_high"),
}
"""Title of each panel -> columns of `study` that hold the number and the ends of its interval."""

_PARTS = {
    "intermediate": (GAIN, 0.85, ""),
    "target": (LOSS, 0.85, "////"),
    "order": (GAIN, 0.85, "...."),
    "head": (LOSS, 0.85, "xxxx"),
    "dropout": (GAIN, 0.45, "||||"),
    "data": (LOSS, 0.45, "----"),
    "residual": (INK, 0.25, ""),
}
"""Part of the variance -> (colour, opacity, hatch)."""


@styled
def study(tables: Tables, split: str, model: str) -> Drawing | None:
    """Draw one row per regime; None if no regime has a score for every task."""
    rows = pick(tables, "study", split=split, model=model)
    if not any(row[columns[0]] is not None for row in rows for columns in _PANELS.values()):
        return None
    baseline = baseline_of(rows)
    figure = new_figure(PAGE, 0.19 * len(rows) + 0.75)
    found = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, (title, columns) in zip(found, _PANELS.items(), strict=True):
        _study_panel(axes, rows, columns, baseline)
        axes.set_title(title)
    found[-1].set_xlim(-3, 103)
    found[-1].axvline(50, color=INK, alpha=2 * FAINT, linewidth=0.7, linestyle=(0, (1, 1.5)))
    tasks = " and ".join(dict.fromkeys(str(row["tasks"]) for row in rows))
    return captioned(
        f"study-{slug(split, model)}",
        f"All targets together: {model}, {split}",
        f"Over {tasks} tasks, in percent, with 95 % intervals: Student's t over seeds, of the last two by leaving "
        f"out seeds. Probability that a run of the regime beats one of {baseline} on a task.",
        figure,
    )


def _study_panel(
    axes: Axes, rows: Sequence[Mapping[str, Any]], columns: tuple[str, str, str], baseline: str | None
) -> None:
    middle, low, high = columns
    for y, row in enumerate(rows):
        if row[middle] is None:
            continue
        color = INK if row["intermediate"] == baseline else GAIN
        if row[low] is not None:
            axes.plot([row[low], row[high]], [y, y], color=color, linewidth=1)
        axes.plot([row[middle]], [y], "o", color=color)
        axes.annotate(
            plain(row[middle]), (row[middle], y), (0, 2.5), textcoords="offset points", fontsize=5.5, ha="center"
        )
    label_rows(axes, [row["intermediate"] for row in rows])


@styled
def variance(tables: Tables, split: str, model: str) -> Drawing | None:
    """Draw the shares of the variance; None if the seeds of no regime can separate them."""
    rows = pick(tables, "variance", split=split, model=model)
    rows = [row for row in rows if row["residual_share"] is not None]
    if not rows:
        return None
    columns = list(dict.fromkeys(row["column"] for row in rows))
    regimes = list(dict.fromkeys(row["intermediate"] for row in rows))
    figure, axes = panels(len(regimes), 0.17 * len(columns) + 0.42)
    for panel, regime in zip(axes, regimes, strict=True):
        _variance_panel(panel, columns, {row["column"]: row for row in rows if row["intermediate"] == regime})
        panel.set_title(short(regime))
    handles = [
        Patch(facecolor=c, alpha=a, hatch=h, label=f"{part} seed" if part != "residual" else part)
        for part, (c, a, h) in _PARTS.items()
        if any(row[f"{part}_share"] is not None for row in rows)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return captioned(
        f"variance-{slug(split, model)}",
        f"Where the variance comes from: {model}, {split}",
        "Shares of the variance between runs in percent, whose total standard deviation (points) stands at the right.",
        figure,
    )


def _variance_panel(axes: Axes, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> None:
    for y, column in enumerate(columns):
        if column not in rows:
            continue
        row, left = rows[column], 0.0
        for part, (color, alpha, hatch) in _PARTS.items():
            share = row[f"{part}_share"]
            if share is None:
                continue
            axes.barh(y, share, left=left, height=0.7, color=color, alpha=alpha, hatch=hatch, linewidth=0)
            left += share
        axes.text(1.02, y, plain(row["total_sd"]), transform=axes.get_yaxis_transform(), va="center", fontsize=6)
    label_rows(axes, columns)
    axes.set_xlim(0, 100)
