"""Figure of the score of every seed, with each regime's mean, interval and number of seeds without a score."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from stilts.results.analyse import Tables
from stilts.results.scores import distinct, rows_of, task_scores
from stilts.results.seed_statistics import TARGET
from stilts.results.table import CLEAN, benchmark_of
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import baseline_of, lacking, pick, slug
from stilts.show.figures.style import FAINT, GAIN, INK, label_rows, panels, short, styled

_ROW = 0.17
"""Height of a row in inches."""


@styled
def spreads(tables: Tables, split: str, model: str) -> Drawing | None:
    """Draw one panel per target and one row per regime; None if no seed has a score."""
    rows = pick(tables, "summary", split=split, model=model, kind=TARGET)
    seeds = _seeds(tables, split, model) if rows else {}
    targets = list(dict.fromkeys(row["column"] for row in rows))
    if not any(seeds.values()):
        return None
    regimes = list(dict.fromkeys(row["intermediate"] for row in rows))
    figure, axes = panels(len(targets), _ROW * len(regimes) + 0.42)
    for panel, target in zip(axes, targets, strict=True):
        _panel(
            panel,
            regimes,
            baseline_of(rows),
            {row["intermediate"]: row for row in rows if row["column"] == target},
            seeds,
            target,
        )
    return captioned(
        f"spreads-{slug(split, model)}",
        f"Every seed: {model}, {split}",
        "Dots: seeds. Bar: mean and its 95 % interval (Student's t). "
        f"Dotted: mean of {baseline_of(rows)}. At the right: seeds without a number.",
        figure,
    )


def _seeds(tables: Tables, split: str, model: str) -> dict[tuple[str, str], list[float]]:
    """(regime, target) -> scores of the seeds that have one. Seeds that share all their artifacts count once."""
    results = tables["results"]
    scores = task_scores(rows_of(results, split, CLEAN), benchmark_of(results))
    return {
        (regime, target): [score.value for score in distinct(by_seed) if score.value is not None]
        for ((name, regime), target), by_seed in scores.items()
        if name == model
    }


def _panel(
    axes: Axes,
    regimes: Sequence[str],
    baseline: str | None,
    rows: Mapping[str, Mapping[str, Any]],
    seeds: Mapping[tuple[str, str], Sequence[float]],
    target: str,
) -> None:
    for y, regime in enumerate(regimes):
        row = rows.get(regime)
        if row is None:
            continue
        found = seeds.get((regime, target), ())
        color = INK if regime == baseline else GAIN
        axes.plot(found, [y - 0.17] * len(found), "o", color=color, alpha=0.75, markersize=2.6, markeredgewidth=0)
        if row["mean"] is not None:
            axes.plot([row["mean"]], [y + 0.2], "|", color=color, markersize=5, markeredgewidth=1.2)
            if regime == baseline:
                axes.axvline(row["mean"], color=INK, alpha=2 * FAINT, linestyle=(0, (1, 1.5)), linewidth=0.7)
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [y + 0.2] * 2, color=color, linewidth=1)
        axes.text(1.01, y, lacking(row), transform=axes.get_yaxis_transform(), va="center", fontsize=6)
    if not any(row["mean"] is not None for row in rows.values()):
        axes.set_xticks([])
    axes.set_title(short(target))
    label_rows(axes, regimes)
