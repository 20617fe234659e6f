"""Charts: the drawings of `figures` inside the page, each where its section asks for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from stilts.results.analyse import Tables
from stilts.show.figures.curves import curves
from stilts.show.figures.drawing import Drawing, svg
from stilts.show.figures.robustness import robustness
from stilts.show.figures.scatter import scatter

KINDS: Mapping[str, Callable[..., Drawing | None]] = {
    "curves": curves,
    "robustness": robustness,
    "scatter": scatter,
}
"""By the names that templates call them; each takes the tables, then what a template gives."""


@dataclass(frozen=True)
class Chart:
    """A drawing as markup, with its caption."""

    svg: Markup
    text: str


def charts_of(tables: Tables) -> Callable[..., Chart | None]:
    """What draws a chart: `chart("scatter", split, model, regime)`; None where its tables have nothing to draw."""

    def chart(kind: str, *of: str) -> Chart | None:
        drawing = KINDS[kind](tables, *of)
        if drawing is None:
            return None
        drawing.figure.supxlabel("")  # its caption, which the page sets in its own type
        return Chart(Markup(svg(drawing)), drawing.text)

    return chart
