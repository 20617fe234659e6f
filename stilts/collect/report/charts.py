"""Charts: the drawings of `figures` inside the page, each where its section asks for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from stilts.collect.analyse import Tables
from stilts.collect.figures.drawing import Drawing, svg

KINDS: Mapping[str, Callable[..., Drawing | None]] = {}
"""By the names that templates call them; each takes the tables, then what a template gives."""


@dataclass(frozen=True)
class Chart:
    """A drawing as markup, with its caption."""

    svg: Markup
    text: str


def charts_of(tables: Tables) -> Callable[..., Chart | None]:
    """What draws a chart by its kind: `chart("spreads", split, model)`; None where its tables have nothing to draw."""

    def chart(kind: str, *of: str) -> Chart | None:
        drawing = KINDS[kind](tables, *of) if kind in KINDS else None
        if drawing is None:
            return None
        drawing.figure.supxlabel("")  # its caption, which the page sets in its own type
        return Chart(Markup(svg(drawing)), drawing.text)

    return chart
