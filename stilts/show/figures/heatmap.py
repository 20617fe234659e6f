"""Heat maps of transfer: the difference of each intermediate to the baseline, with interval and significance.

`transfer` draws regimes x targets, the central figure of a study. `languages` draws languages x regimes for one target.
Both show the columns `difference*` and `p_holm` of their tables.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from stilts.results.analyse import Tables
from stilts.results.scores import MEAN
from stilts.results.seed_statistics import AVERAGE
from stilts.show.figures.drawing import Drawing, captioned
from stilts.show.figures.rows import baseline_of, lacking, pick, slug
from stilts.show.figures.style import COLUMN, DIVERGING, FAINT, INK, PAGE, bare, new_figure, short, signed, styled
from stilts.statistics.power import ALPHA

_WIDE = 0.46
"""Smallest width of a cell, in inches, with which the figure fits into one column of a paper."""
_POINTS = 72
"""Points per inch."""
_LEAST = 4.0
"""Smallest font size, in points."""


_WIDTHS = {".": 0.25, ",": 0.25, " ": 0.25, "[": 0.33, "]": 0.33, "+": 0.69, "−": 0.69, "=": 0.69}
"""Width of characters as a fraction of the font size; 0.5 for all others."""

_PLACES = {
    False: ((0.15, 0.42), (-0.25, 0.28), (0, 0)),
    True: ((0.27, 0.4), (-0.07, 0.26), (-0.34, 0.23)),
}
"""Whether the cell states n -> for the number, the interval and n: height above the cell's middle, and largest font
size. Both are fractions of the cell's height."""


@dataclass(frozen=True)
class _Size:
    """Size of a cell, in points."""

    width: float
    height: float


@dataclass(frozen=True)
class _Map:
    """What a heat map shows.

    Attributes:
        rows, columns: the labels.
        cells: (row, column) -> row of the table, for the planned combinations.
        rows_split_at, columns_split_at: index of the first row or column that is an average; None if there is none.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Mapping[str, Any]]
    rows_split_at: int | None = None
    columns_split_at: int | None = None


def transfer(tables: Tables, split: str, model: str) -> Drawing | None:
    """Draw regimes x targets and averages; None if no seed can be paired with the baseline's."""
    rows = _compared(pick(tables, "summary", split=split, model=model))
    columns = tuple(dict.fromkeys(row["column"] for row in rows))
    averages = {row["column"] for row in rows if row["kind"] == AVERAGE}
    return _draw(
        f"transfer-{slug(split, model)}",
        f"Transfer to each target: {model}, {split}",
        rows,
        _Map(
            rows=tuple(dict.fromkeys(row["intermediate"] for row in rows)),
            columns=columns,
            cells={(row["intermediate"], row["column"]): row for row in rows},
            columns_split_at=next((i for i, name in enumerate(columns) if i and name in averages), None),
        ),
    )


def languages(tables: Tables, split: str, model: str, target: str) -> Drawing | None:
    """Draw languages x regimes of one target, the mean over languages last; None if no seed can be paired."""
    rows = _compared(pick(tables, "languages", split=split, model=model, target=target))
    names = tuple(dict.fromkeys(row["language"] for row in rows))
    return _draw(
        f"languages-{slug(split, model, target)}",
        f"Transfer to each language of {target}: {model}, {split}",
        rows,
        _Map(
            rows=names,
            columns=tuple(dict.fromkeys(row["intermediate"] for row in rows)),
            cells={(row["language"], row["intermediate"]): row for row in rows},
            rows_split_at=next((i for i, name in enumerate(names) if i and name == MEAN), None),
        ),
    )


def _compared(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of regimes that are compared with the baseline; empty if none of them has a difference."""
    found = [row for row in rows if row["baseline"] is not None]
    return found if any(row["difference"] is not None for row in found) else []


@styled
def _draw(name: str, title: str, rows: Sequence[Mapping[str, Any]], shown: _Map) -> Drawing | None:
    if not rows:
        return None
    usual = Counter(row["difference_n"] for row in rows if row["difference_n"]).most_common(1)[0][0]
    labels = 0.09 * max(len(short(label)) for label in shown.rows) + 0.5
    width = COLUMN if labels + _WIDE * len(shown.columns) <= COLUMN else PAGE
    high = 0.27 if len(shown.rows) <= 25 else 0.215
    figure = new_figure(width, high * len(shown.rows) + 0.7)
    axes = figure.add_subplot()
    limit = max(1.0, *(abs(row["difference"]) for row in rows if row["difference"] is not None))
    size = _Size(min(_POINTS * (width - labels) / len(shown.columns), 60.0), _POINTS * high)
    _cells(axes, shown, limit, usual, size)
    _sides(axes, shown, size)
    bar = figure.colorbar(axes.collections[0], ax=axes, pad=0.01, aspect=30, fraction=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=6.5)
    bar.set_label("points", fontsize=6.5, labelpad=1)
    return captioned(name, title, _caption(rows, usual), figure)


def _caption(rows: Sequence[Mapping[str, Any]], usual: int) -> str:
    families = dict.fromkeys(str(row["comparisons"]) for row in rows if row["comparisons"])
    over = f" in families of {' and '.join(families)} comparisons" if families else ""
    return (
        f"Difference to {baseline_of(rows)} in points, paired by seed; below it its 95 % interval (Student's t). "
        f"n = {usual} unless noted. * and bold: Holm-adjusted p < {ALPHA}{over}. "
        "A word stands where there is no number."
    )


def _cells(axes: Axes, shown: _Map, limit: float, usual: int, size: _Size) -> None:
    """Draw the colours and in each cell the difference, the interval, and n if it is not the usual one."""
    values = [[_difference(shown.cells.get((row, column))) for column in shown.columns] for row in shown.rows]
    axes.pcolormesh(values, cmap=DIVERGING, norm=Normalize(-limit, limit))
    for y, row in enumerate(shown.rows):
        for x, column in enumerate(shown.columns):
            cell = shown.cells.get((row, column))
            if cell is None:
                continue
            if cell["difference"] is None:
                _write(axes, (x, y), lacking(cell) or "no pair", (0, 0.3), size, alpha=0.6)
                continue
            sure = cell["p_holm"] is not None and cell["p_holm"] < ALPHA
            n = "" if cell["difference_n"] == usual else f"n={cell['difference_n']}"
            lines = [signed(cell["difference"]) + ("*" if sure else ""), _interval(cell), n]
            weights = ["bold" if sure else "normal", "normal", "normal"]
            for text, place, weight in zip(lines, _PLACES[bool(n)], weights, strict=True):
                _write(axes, (x, y), text, place, size, weight=weight)


def _difference(cell: Mapping[str, Any] | None) -> float:
    return float("nan") if cell is None or cell["difference"] is None else float(cell["difference"])


def _interval(cell: Mapping[str, Any]) -> str:
    """`[-0.3, +1.2]`; empty if there is only one pair of seeds, or if the differences do not vary."""
    if cell["difference_low"] is None:
        return ""
    return f"[{signed(cell['difference_low'])}, {signed(cell['difference_high'])}]"


def _write(axes: Axes, cell: tuple[int, int], text: str, place: tuple[float, float], size: _Size, **look: Any) -> None:
    """Write a text into a cell, in a font that is small enough for the cell's width, but not smaller than _LEAST.

    Args:
        place: height above the cell's middle, and largest font size, both as fractions of the cell's height.
    """
    if not text:
        return
    above, most = place
    widths = sum(_WIDTHS.get(letter, 0.5) for letter in text)
    points = max(_LEAST, min(most * size.height, 8.0, 0.94 * size.width / widths))
    middle = (cell[0] + 0.5, cell[1] + 0.5)
    axes.annotate(
        text,
        middle,
        (0, above * size.height),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=points,
        **look,
    ).set_in_layout(False)


def _sides(axes: Axes, shown: _Map, size: _Size) -> None:
    axes.set_xticks([x + 0.5 for x in range(len(shown.columns))], [short(name) for name in shown.columns])
    axes.set_yticks([y + 0.5 for y in range(len(shown.rows))], [short(name) for name in shown.rows])
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    bare(axes)
    if max(len(short(name)) for name in shown.columns) * 3.9 > size.width:
        axes.tick_params(axis="x", labelrotation=35)
        for label in axes.get_xticklabels():
            label.set(ha="left", rotation_mode="anchor")
    if shown.columns_split_at:
        axes.axvline(shown.columns_split_at, color=INK, alpha=2 * FAINT, linewidth=0.8)
    if shown.rows_split_at:
        axes.axhline(shown.rows_split_at, color=INK, alpha=2 * FAINT, linewidth=0.8)
