"""Figure of what the choice of a checkpoint by English dev costs, compared with the last checkpoint and an oracle's."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from stilts.results.analyse import Tables
from stilts.results.scores import MEAN
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import in_order, pick, slug
from stilts.show.figures.style import FAINT, GAIN, INK, LOSS, label_rows, panels, short, styled

_CHOICES = {
    "last": ("last", INK, "|"),
    "best_dev": ("by English dev", GAIN, "o"),
    "oracle": ("oracle", LOSS, ">"),
}
"""Column -> (label, colour, marker)."""


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
        _panel(panel, regimes, {row["intermediate"]: row for row in rows if row["target"] == target})
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


def _panel(axes: Axes, regimes: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> None:
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
