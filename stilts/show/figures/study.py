"""Figure of the table `study`: benchmark average, interquartile mean and probability of improvement of each regime."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from stilts.results.analyse import Tables
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import baseline_of, pick, slug
from stilts.show.figures.style import FAINT, GAIN, INK, PAGE, label_rows, new_figure, plain, styled

_PANELS = {
    "mean": ("mean", "low", "high"),
    "interquartile mean": ("iqm", "iqm_low", "iqm_high"),
    "probability of improvement": ("improvement", "improvement_low", "improvement_high"),
}
"""Title of each panel -> columns of `study` that hold the number and the ends of its interval."""


@styled
def study(tables: Tables, split: str, model: str) -> Drawing | None:
    """Draw one row per regime; None if no regime has a score for every task."""
    rows = pick(tables, "study", split=split, model=model)
    if not any(row[columns[0]] is not None for row in rows for columns in _PANELS.values()):
        return None
    baseline = baseline_of(rows)
    figure = new_figure(PAGE, 0.19 * len(rows) + 0.75)
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, (title, columns) in zip(panels, _PANELS.items(), strict=True):
        _panel(axes, rows, columns, baseline)
        axes.set_title(title)
    panels[-1].set_xlim(-3, 103)
    panels[-1].axvline(50, color=INK, alpha=2 * FAINT, linewidth=0.7, linestyle=(0, (1, 1.5)))
    tasks = " and ".join(dict.fromkeys(str(row["tasks"]) for row in rows))
    return captioned(
        f"study-{slug(split, model)}",
        f"All targets together: {model}, {split}",
        f"Over {tasks} tasks, in percent, with 95 % intervals: Student's t over seeds, of the last two by leaving "
        f"out seeds. Probability that a run of the regime beats one of {baseline} on a task.",
        figure,
    )


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], columns: tuple[str, str, str], baseline: str | None) -> None:
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
