"""Drawings as files and inside a page: real files that parse, equal bytes, nothing that reaches beyond the drawing."""

import re
import struct
import xml.etree.ElementTree as ET

import matplotlib
import pytest

from stilts.show.figures.drawing import captioned, save, svg
from stilts.show.figures.style import COLUMN, INK, new_figure, styled


@styled
def draw(name="a-drawing", text="Seeds & means of <none>."):
    figure = new_figure(COLUMN, 2)
    axes = figure.add_subplot()
    axes.plot([1, 2, 3], [3, 1, 2], "o-", label="squad_100%")
    axes.plot([1, 2], [1, 1], color=INK)
    axes.set_xlim(0, 2.5)
    axes.set_title("$a_b$ & 100%")
    axes.legend()
    return captioned(name, "What it is of", text, figure)


def settings():
    """The settings of matplotlib, without the backend, which is resolved when it is first read."""
    return {name: value for name, value in matplotlib.rcParams.copy().items() if name != "backend"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A drawing and its files, saved in a new folder."""
    drawing = draw()
    return drawing, save(drawing, tmp_path_factory.mktemp("figures") / "new")


def test_files_are_real_and_of_the_papers_width(saved):
    png, pdf, vector = saved[1]
    content = png.read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", content[16:24]) == (909, 600)
    document = pdf.read_bytes()
    assert document.startswith(b"%PDF")
    assert document.rstrip().endswith(b"%%EOF")
    assert re.search(rb"/MediaBox \[ ?0 0 218.16 144 ?\]", document)
    root = ET.parse(vector).getroot()
    assert root.get("width") == "218.16pt"
    assert not list(root.iter("{http://www.w3.org/2000/svg}text")), "a file's letters do not depend on fonts"


def test_fonts_are_embedded_as_truetype(saved):
    document = saved[1][1].read_bytes()
    assert b"STIXGeneral" in document
    assert b"/FontFile2" in document
    assert b"/Type3" not in document


def test_equal_drawings_have_equal_bytes_and_no_dates(saved, tmp_path):
    before = settings()
    first = [path.read_bytes() for path in saved[1]]
    assert [path.read_bytes() for path in save(draw(), tmp_path)] == first
    assert settings() == before, "those of others"
    assert not any(re.search(rb"CreationDate|<dc:date>|20\d\d-\d\d-\d\d", content) for content in first)


def test_inside_a_page_it_has_the_pages_colour_and_its_words():
    markup = svg(draw())
    assert markup.startswith("<svg")
    root = ET.fromstring(markup)
    space = "{http://www.w3.org/2000/svg}"
    assert [root[0].tag, root[0].text] == [f"{space}title", "What it is of"]
    assert [root[1].tag, root[1].text] == [f"{space}desc", "Seeds & means of <none>."]
    assert root.get("aria-labelledby", "").split() == [root[0].get("id"), root[1].get("id")]
    assert "currentColor" in markup
    assert INK not in markup
    assert not re.search(r"<style|<script|<\?xml|<!DOCTYPE|<metadata| on\w+=|fill: ?#fff", markup)
    assert {text.text for text in root.iter(f"{space}text")} >= {"squad_100%", "$a_b$ & 100%"}


def test_ids_of_two_drawings_do_not_meet():
    pages = [svg(draw(name)) for name in ("one", "two")]
    ids = [re.findall(r'\bid="([^"]+)"', page) for page in pages]
    assert len(set(ids[0])) == len(ids[0])
    assert not set(ids[0]) & set(ids[1])
    for page, found in zip(pages, ids, strict=True):
        used = re.findall(r'(?:url\(#|href="#)([^)"]+)', page)
        assert used, "the clip paths and markers of the lines"
        assert set(used) <= set(found)


def test_saving_does_not_change_what_a_page_gets(saved):
    assert svg(draw()) == svg(saved[0]) == svg(saved[0])
