"""Draws the figures that are part of the HTML page, as SVG."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from stilts.results.analyse import Tables
from stilts.show.figures.drawing import Drawing, svg
from stilts.show.figures.learning import curves
from stilts.show.figures.robustness import robustness
from stilts.show.figures.scatter import scatter

KINDS: Mapping[str, Callable[..., Drawing | None]] = {
    "curves": curves,
    "robustness": robustness,
    "scatter": scatter,
}
"""Name of each kind of chart in templates -> function that draws it, given the tables and the template's arguments."""


@dataclass(frozen=True)
class Chart:
    """A drawing as markup, with its caption."""

    svg: Markup
    text: str


def charts_of(tables: Tables) -> Callable[..., Chart | None]:
    """The function `chart` for templates, called as `chart("scatter", split, model, regime)`.

    It returns None if the tables have nothing to draw.
    """

    def chart(kind: str, *of: str) -> Chart | None:
        drawing = KINDS[kind](tables, *of)
        if drawing is None:
            return None
        drawing.figure.supxlabel("")  # removes the caption, which the page prints as text of its own
        return Chart(Markup(svg(drawing)), drawing.text)

    return chart
