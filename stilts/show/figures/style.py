"""The one look of all figures: sizes of an ACL paper, type, colours.

Invariants: everything that is not a colour of the palette is drawn in INK, which the page's own colour replaces where a
figure is part of a page; surfaces are tints, whose strength is their opacity. So a figure reads on white and on black.
No colour alone tells two things apart: regimes differ in marker and line too.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure

COLUMN = 3.03
PAGE = 6.30
"""Widths of a column and of the text of ACL's style files, in inches."""

INK = "#1a1b1c"
FAINT = 0.3
"""Opacity of INK in rules, grids and zero lines."""

GAIN, LOSS = "#0072b2", "#d55e00"

FONTS = ("STIXGeneral", "DejaVu Sans")
"""Both come with matplotlib, so that a figure is the same on every machine; the first is a Times, as the papers are."""

RC: Any = {
    "font.family": list(FONTS),
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.titlepad": 3,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.2,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "lines.solid_capstyle": "butt",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
    "figure.constrained_layout.hspace": 0.03,
    "figure.constrained_layout.wspace": 0.03,
    "savefig.facecolor": "none",
    "savefig.dpi": 300,
    "hatch.color": INK,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
}
"""What every figure is drawn and written with (matplotlib's rcParams)."""

styled = matplotlib.rc_context(RC)
"""Decorates what draws or writes; matplotlib's own settings are as before when it returns."""


@dataclass(frozen=True)
class Mark:
    """How one regime is drawn, wherever it is."""

    color: str
    marker: str
    linestyle: Any


_HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
_LINES = ("-", (0, (4, 1.2)), (0, (1.2, 1)), (0, (5, 1, 1, 1)))
"""Hues: Okabe and Ito (2008), Color Universal Design, without those that vanish on white or black; olive after Tol."""


def marks(names: Sequence[str], baseline: str | None) -> dict[str, Mark]:
    """A mark for each name: the baseline in ink and dotted, the others by their order among the rest."""
    found = {name: Mark(INK, "o", (0, (1, 1))) for name in names if name == baseline}
    for i, name in enumerate(name for name in names if name != baseline):
        found[name] = Mark(_HUES[i % len(_HUES)], _MARKERS[i % len(_MARKERS)], _LINES[i // len(_HUES) % len(_LINES)])
    return found


def _diverging() -> ListedColormap:
    """Loss to gain: the middle is clear, the ends are as strong as black and white type can both be read on."""
    strength = np.linspace(-1, 1, 257)
    colors = np.where((strength < 0)[:, None], to_rgb(LOSS), to_rgb(GAIN))
    return ListedColormap(np.column_stack([colors, 0.75 * np.abs(strength)]))


DIVERGING = _diverging()


@styled
def new_figure(width: float, height: float) -> Figure:
    """An empty figure; inches. What is put on it finds its place when it is drawn."""
    return Figure(figsize=(width, height), layout="constrained")


def panels(number: int, height: float, same_rows: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure of that many panels of a height (in), two or three in a row, and its panels by rows.

    Where all have the `same_rows` on their vertical axis, each row's first panel alone has the labels.
    """
    across = 2 if number == 4 else min(number, 3)
    down = -(-number // across)
    figure = new_figure(COLUMN if across == 1 else PAGE, height * down + 0.25)
    found = figure.subplots(down, across, sharey=same_rows, squeeze=False).ravel()
    for axes in found[number:]:
        axes.set_visible(False)
    return figure, list(found[:number])


def note(figure: Figure, text: str) -> None:
    """A text in small type under everything, as many lines as it needs."""
    letters = int(figure.get_figwidth() * 25)
    figure.supxlabel(textwrap.fill(text, letters), fontsize=6.5, x=0.005, ha="left", linespacing=1.15)


def bare(axes: Axes) -> None:
    """No frame and no tick marks: labels alone."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def signed(value: float) -> str:
    """`+1.2`, `−0.3`, `0.0`; one decimal, as in the tables."""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def plain(value: float) -> str:
    """`71.2`, `−0.3`"""
    text = f"{value:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")


def short(name: str, most: int = 18) -> str:
    """A name that would take the room of the numbers, cut in its middle."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"


def label_rows(axes: Axes, labels: Sequence[str]) -> None:
    """One row for each label, the first on top, and light rules for the values."""
    axes.set_yticks(range(len(labels)), [short(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines.left.set_visible(False)
    axes.grid(axis="x")
