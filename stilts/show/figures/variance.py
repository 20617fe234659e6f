"""Figure of the components of the variance: one panel per regime, one bar of shares per target and average."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from stilts.results.analyse import Tables
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import pick, slug
from stilts.show.figures.style import GAIN, INK, LOSS, label_rows, panels, plain, short, styled

_PARTS = {"intermediate": (GAIN, 0.85, ""), "target": (LOSS, 0.85, "////"), "residual": (INK, 0.25, "")}
"""Part of the variance -> (colour, opacity, hatch)."""


@styled
def variance(tables: Tables, split: str, model: str) -> Drawing | None:
    """Draw the shares of the variance; None if the seeds of no regime can separate them."""
    rows = pick(tables, "variance", split=split, model=model)
    rows = [row for row in rows if row["intermediate_share"] is not None]
    if not rows:
        return None
    columns = list(dict.fromkeys(row["column"] for row in rows))
    regimes = list(dict.fromkeys(row["intermediate"] for row in rows))
    figure, axes = panels(len(regimes), 0.17 * len(columns) + 0.42)
    for panel, regime in zip(axes, regimes, strict=True):
        _panel(panel, columns, {row["column"]: row for row in rows if row["intermediate"] == regime})
        panel.set_title(short(regime))
    handles = [
        Patch(facecolor=c, alpha=a, hatch=h, label=f"{part} seed" if part != "residual" else part)
        for part, (c, a, h) in _PARTS.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return captioned(
        f"variance-{slug(split, model)}",
        f"Where the variance comes from: {model}, {split}",
        "Shares of the variance between runs in percent, whose total standard deviation (points) stands at the right.",
        figure,
    )


def _panel(axes: Axes, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> None:
    for y, column in enumerate(columns):
        if column not in rows:
            continue
        row, left = rows[column], 0.0
        for part, (color, alpha, hatch) in _PARTS.items():
            share = row[f"{part}_share"]
            axes.barh(y, share, left=left, height=0.7, color=color, alpha=alpha, hatch=hatch, linewidth=0)
            left += share
        axes.text(1.02, y, plain(row["total_sd"]), transform=axes.get_yaxis_transform(), va="center", fontsize=6)
    label_rows(axes, columns)
    axes.set_xlim(0, 100)
