"""Tables for figures, and what is drawn in a panel."""

import pyarrow as pa

WHO = {"split": "test", "model": "base"}


def table(name, schema, rows):
    return {name: pa.Table.from_pylist([{**WHO, **row} for row in rows], schema=schema)}


def dots(panel, *markers):
    """(x, y) of the points that are drawn with one of the markers."""
    lines = [line.get_xydata().tolist() for line in panel.lines if line.get_marker() in (markers or ("o",))]
    return [tuple(point) for line in lines for point in line]


def spans(panel):
    return [
        tuple(line.get_xdata()) for line in panel.lines if line.get_marker() == "None" and len(line.get_xdata()) == 2
    ]


def titles(figure):
    return [panel.get_title(loc="left") or panel.get_title() for panel in figure.axes]


def words(panel):
    return [text.get_text() for text in panel.texts]
