"""A drawing: a figure, what it says in words, and its forms: files for papers, SVG inside a page.

Invariants: equal tables give equal bytes (no dates, no random ids). Inside a page nothing of a drawing reaches beyond
it: no style sheet, no script, and every id begins with the drawing's name.
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
from stilts.storage.local import LocalStore

FORMS = ("png", "pdf", "svg")

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_NO_DATES: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
}
_PAGE_FONTS = "STIXGeneral, 'STIX Two Text', 'Times New Roman', 'Liberation Serif', Times, serif"
"""Fonts as wide as the one that the layout was made with."""


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        name: of its files, and unique among the drawings of a page.
        title: what it is of, in a line.
        text: what is drawn and how it is to be read. It stands beneath the figure too.
    """

    name: str
    title: str
    text: str
    figure: Figure


def captioned(name: str, title: str, text: str, figure: Figure) -> Drawing:
    """The figure, with the text in small type beneath it."""
    note(figure, text)
    return Drawing(name, title, text, figure)


@styled
def save(drawing: Drawing, folder: Path) -> list[Path]:
    """Write NAME.png, .pdf (fonts embedded as TrueType) and .svg (letters as outlines), each atomically.

    Raises:
        StiltsError: the folder cannot be written.
    """
    store = LocalStore(folder)
    for form in FORMS:
        store.write(f"{drawing.name}.{form}", _rendered(drawing, form, "white"))
    return [folder / f"{drawing.name}.{form}" for form in FORMS]


@styled
def svg(drawing: Drawing) -> str:
    """The drawing as an element of an HTML page: text as text, in the page's colour, on the page's background."""
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
        drawing.figure.set_layout_engine("none")  # laid out once: every form is then the same, and sooner there
    with matplotlib.rc_context({"svg.hashsalt": drawing.name}):
        drawing.figure.savefig(content, format=form, facecolor=background, metadata=_NO_DATES[form])
    return content.getvalue()


def _name_ids(root: ET.Element, name: str) -> None:
    """Put the drawing's name before every id and every reference to one."""
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == _XLINK:
                del element.attrib[key]
                element.set("href", value.replace("#", f"#{name}-", 1))
            elif "url(#" in value:
                element.set(key, re.sub(r"url\(#", f"url(#{name}-", value))
