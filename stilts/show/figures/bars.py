"""Figure of the scores of one target by language: one panel per regime, one row per language, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from stilts.results.analyse import Tables
from stilts.results.scores import MEAN
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import baseline_of, lacking, pick, slug
from stilts.show.figures.style import COLUMN, FAINT, GAIN, INK, PAGE, label_rows, new_figure, short, styled

_ROW = 0.135
"""Height of a row in inches."""
_FEW = 3
"""Largest number of regimes that fit into one column of a paper."""


@styled
def scores(tables: Tables, split: str, model: str, target: str) -> Drawing | None:
    """Draw means and intervals; None if no language has a score."""
    rows = pick(tables, "languages", split=split, model=model, target=target)
    if not any(row["mean"] is not None for row in rows):
        return None
    languages = list(dict.fromkeys(row["language"] for row in rows))
    by_regime: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_regime.setdefault(row["intermediate"], {})[row["language"]] = row
    baseline = baseline_of(rows)
    figure = new_figure(COLUMN if len(by_regime) <= _FEW else PAGE, _ROW * max(len(languages), 3) + 0.75)
    panels = figure.subplots(1, len(by_regime), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (regime, found) in zip(panels, by_regime.items(), strict=True):
        if regime != baseline:
            _ghost(axes, languages, by_regime.get(baseline or "", {}))
        _panel(axes, languages, found, INK if regime == baseline else GAIN)
        axes.set_title(short(regime, 12), fontsize=7.5, loc="center")
    ghost = f" Grey: {baseline}." if baseline else ""
    return captioned(
        f"scores-{slug(split, model, target)}",
        f"Scores in each language of {target}: {model}, {split}",
        f"Mean over seeds and its 95 % interval (Student's t).{ghost} Hollow: of fewer seeds than planned.",
        figure,
    )


def _ghost(axes: Axes, languages: Sequence[str], baseline: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw the baseline's means in the panel of another regime."""
    found = [(baseline[name]["mean"], y) for y, name in enumerate(languages) if name in baseline]
    known = [(mean, y) for mean, y in found if mean is not None]
    axes.plot([mean for mean, _ in known], [y for _, y in known], "|", color=INK, alpha=0.5, markersize=6)


def _panel(axes: Axes, languages: Sequence[str], rows: Mapping[str, Mapping[str, Any]], color: str) -> None:
    for y, language in enumerate(languages):
        row = rows.get(language)
        if row is None:
            continue
        if row["mean"] is None:
            axes.text(0.02, y, lacking(row), transform=axes.get_yaxis_transform(), va="center", fontsize=5.5)
            continue
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [y, y], color=color, linewidth=1)
        fill = color if row["n"] == row["planned"] else "none"
        axes.plot([row["mean"]], [y], "o", color=color, markersize=3, markerfacecolor=fill, markeredgewidth=0.8)
    label_rows(axes, languages)
    if MEAN in languages[1:]:
        axes.axhline(languages.index(MEAN) - 0.5, color=INK, alpha=FAINT, linewidth=0.6)
    axes.tick_params(axis="x", labelsize=6.5)
    axes.locator_params(axis="x", nbins=3)
