"""A figure with its title and caption, and how it is written: as files for papers, and as SVG inside an HTML page.

Equal tables give equal files, byte by byte: there are no dates and no random ids in them. An SVG inside a page does not
affect the rest of the page: it has no style sheet and no script, and every id begins with the drawing's name.
"""

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from stilts.show.figures.style import FONTS, INK, note, styled
from stilts.storage.local import RESULTS, LocalStore

FORMS = ("png", "pdf", "svg")

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_NO_DATES: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
}
_PAGE_FONTS = "STIXGeneral, 'STIX Two Text', 'Times New Roman', 'Liberation Serif', Times, serif"
"""Fonts with letters as wide as those of the font that the layout was computed with."""


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        name: name of its files without extension; unique among the drawings of an experiment.
        title: one line that says what is shown.
        text: the caption: what is drawn and how to read it. It is also printed below the figure.
    """

    name: str
    title: str
    text: str
    figure: Figure


def captioned(name: str, title: str, text: str, figure: Figure) -> Drawing:
    """Print the caption in small type below the figure, and return both as a drawing."""
    note(figure, text)
    return Drawing(name, title, text, figure)


@styled
def save(drawing: Drawing, folder: Path) -> list[Path]:
    """Write NAME.png, NAME.pdf (with embedded TrueType fonts) and NAME.svg (with letters as outlines), each atomically.

    Raises:
        StiltsError: the folder cannot be written.
    """
    store = LocalStore(folder, RESULTS)
    for form in FORMS:
        store.write(f"{drawing.name}.{form}", _rendered(drawing, form, "white"))
    return [folder / f"{drawing.name}.{form}" for form in FORMS]


@styled
def svg(drawing: Drawing) -> str:
    """The drawing as an SVG element for an HTML page. Its text is selectable and has the colour of the page's text."""
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        root = ET.fromstring(_rendered(drawing, "svg", "none"))
    ET.register_namespace("", _SVG)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    _name_ids(root, drawing.name)
    title, text = ET.Element(f"{{{_SVG}}}title"), ET.Element(f"{{{_SVG}}}desc")
    title.text, text.text = drawing.title, drawing.text
    for i, (element, part) in enumerate(((title, "title"), (text, "text"))):
        element.set("id", f"{drawing.name}-{part}")
        root.insert(i, element)
    del root.attrib["version"]
    root.attrib |= {
        "role": "img",
        "aria-labelledby": f"{drawing.name}-title {drawing.name}-text",
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
        "style": "max-width: 100%; height: auto",
    }
    markup = ET.tostring(root, encoding="unicode").replace(INK, "currentColor")
    return markup.replace(", ".join(f"'{font}'" for font in FONTS), _PAGE_FONTS)


def _rendered(drawing: Drawing, form: str, background: str) -> bytes:
    content = io.BytesIO()
    if drawing.figure.get_layout_engine() is not None:
        drawing.figure.draw_without_rendering()
        drawing.figure.set_layout_engine("none")  # the layout is computed once, so that all forms have the same
    with matplotlib.rc_context({"svg.hashsalt": drawing.name}):
        drawing.figure.savefig(content, format=form, facecolor=background, metadata=_NO_DATES[form])
    return content.getvalue()


def _name_ids(root: ET.Element, name: str) -> None:
    """Prefix every id, and every reference to an id, with the drawing's name."""
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == _XLINK:
                del element.attrib[key]
                element.set("href", value.replace("#", f"#{name}-", 1))
            elif "url(#" in value:
                element.set(key, re.sub(r"url\(#", f"url(#{name}-", value))
