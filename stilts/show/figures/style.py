"""The common style of all figures: sizes of an ACL paper, fonts and colours.

- Figures must be readable on white and on black. Everything that is not in a colour of the palette is drawn in INK,
  which an HTML page replaces by its text colour, and filled areas are transparent.
- Nothing is distinguished by colour alone: regimes also differ in marker and line style.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

COLUMN = 3.03
PAGE = 6.30
"""Widths of one column and of the whole text in ACL's style files, in inches."""

INK = "#1a1b1c"
FAINT = 0.3
"""Opacity of rules, grids and zero lines."""

GAIN, LOSS = "#0072b2", "#d55e00"

FONTS = ("STIXGeneral", "DejaVu Sans")
"""Fonts that come with matplotlib, so that figures are equal on all machines. The first resembles Times."""

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
"""The rcParams of matplotlib with which every figure is drawn and written."""

styled = matplotlib.rc_context(RC)
"""Decorator for functions that draw or write figures. It sets RC during the call and restores the settings after it."""


@dataclass(frozen=True)
class Mark:
    """Colour, marker and line style of one regime, the same in all panels of a figure."""

    color: str
    marker: str
    linestyle: Any


_HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
_LINES = ("-", (0, (4, 1.2)), (0, (1.2, 1)), (0, (5, 1, 1, 1)))
"""The hues are those of Okabe and Ito (2008), Color Universal Design, without those that are invisible on white or
black, and an olive of Tol's."""


def marks(names: Sequence[str], baseline: str | None) -> dict[str, Mark]:
    """The style of each regime: the baseline in INK with a dotted line, the others by their order."""
    found = {name: Mark(INK, "o", (0, (1, 1))) for name in names if name == baseline}
    for i, name in enumerate(name for name in names if name != baseline):
        found[name] = Mark(_HUES[i % len(_HUES)], _MARKERS[i % len(_MARKERS)], _LINES[i // len(_HUES) % len(_LINES)])
    return found


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


def _diverging() -> ListedColormap:
    """Colour map from LOSS to GAIN. The middle is transparent; at the ends black and white text are both readable."""
    strength = np.linspace(-1, 1, 257)
    colors = np.where((strength < 0)[:, None], to_rgb(LOSS), to_rgb(GAIN))
    return ListedColormap(np.column_stack([colors, 0.75 * np.abs(strength)]))


DIVERGING = _diverging()


@styled
def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches. Its layout is computed when it is drawn."""
    return Figure(figsize=(width, height), layout="constrained")


def panels(number: int, height: float, same_rows: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure with several panels, up to three side by side (four form a square), and the panels by rows.

    Args:
        height: height of a panel in inches.
        same_rows: whether all panels share their vertical axis, whose labels only the first of each row then has.
    """
    across = 2 if number == 4 else min(number, 3)
    down = -(-number // across)
    figure = new_figure(COLUMN if across == 1 else PAGE, height * down + 0.25)
    found = figure.subplots(down, across, sharey=same_rows, squeeze=False).ravel()
    for axes in found[number:]:
        axes.set_visible(False)
    return figure, list(found[:number])


def note(figure: Figure, text: str) -> None:
    """Print a text in small type at the bottom of the figure, wrapped to its width."""
    letters = int(figure.get_figwidth() * 25)
    figure.supxlabel(textwrap.fill(text, letters), fontsize=6.5, x=0.005, ha="left", linespacing=1.15)


def bare(axes: Axes) -> None:
    """Remove the frame and the tick marks, and keep the labels."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def signed(value: float) -> str:
    """Format a difference with one decimal, as in the tables: `+1.2`, `−0.3`, `0.0`."""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def plain(value: float) -> str:
    """Format a number with one decimal: `71.2`, `−0.3`."""
    text = f"{value:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")


def short(name: str, most: int = 18) -> str:
    """Shorten a name of more than `most` characters by replacing its middle with an ellipsis."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"


def label_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Label the rows of a panel, the first at the top, and draw light vertical rules."""
    axes.set_yticks(range(len(labels)), [short(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines.left.set_visible(False)
    axes.grid(axis="x")
